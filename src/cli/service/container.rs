//! Finding a service's container on the engine, without a controller.

use tanuki_runtimes::{Container, ContainerRuntime, ContainerState, Labels, ListFilter};

use crate::model::{LabelKey, ObjectKind, ProjectId};

/// The labels that every container of this service carries.
pub(super) fn labels(project: &ProjectId, service: &str) -> Labels {
    [
        (LabelKey::MANAGED, "true"),
        (LabelKey::PROJECT, project.0.as_str()),
        (LabelKey::KIND, &ObjectKind::Service.to_string()),
        (LabelKey::NAME, service),
    ]
    .into_iter()
    .collect()
}

/// The service's container, if it has one. While it is being replaced there may be two; the running one is meant.
pub(super) async fn find(
    engine: &dyn ContainerRuntime,
    labels: &Labels,
) -> tanuki_runtimes::Result<Option<Container>> {
    let filter = ListFilter { labels: labels.clone(), networks_and_volumes: false };
    let mut containers = engine.list(&filter).await?.containers;
    containers.sort_by_key(|container| container.state != ContainerState::Running);
    Ok(containers.into_iter().next())
}
