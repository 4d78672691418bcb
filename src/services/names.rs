//! Choosing a project's names once: the plain ones, or all with a short suffix when another project has them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tanuki_runtimes::{ContainerRuntime, Labels, ListFilter};
use thiserror::Error;

use super::spec::Owner;
use super::table;
use crate::model::{LabelKey, Names, ProjectId, ServiceSpec, VolumeSource};
use crate::store::{Store, StoreError};

/// Where the choice is remembered: empty for the plain names.
const META_SUFFIX: &str = "name-suffix";

/// Why no names could be chosen.
#[derive(Debug, Error)]
pub enum NamesError {
    /// The engine could not be asked.
    #[error(transparent)]
    Engine(#[from] tanuki_runtimes::Error),
    /// The choice could not be remembered.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The table of claims cannot be read or written.
    #[error("cannot use the name claims in {path}: {source}")]
    Table {
        /// The table.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Who has the plain names on each engine, for all projects of this user: two that start at once do not both take
/// them before either has made anything.
#[derive(Debug, Clone)]
pub struct ClaimFile {
    path: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    project: ProjectId,
    path: String,
}

impl ClaimFile {
    /// The table in `directory`, which is made (mode 0700) when it is not there.
    pub fn new(directory: &Path) -> Self {
        Self { path: directory.join("names.json") }
    }

    /// Takes the plain names of `engine` unless another project that still exists has them.
    fn take(&self, engine: &str, owner: &Owner) -> Result<bool, NamesError> {
        let taken = table::update(&self.path, |claims: &mut BTreeMap<String, Claim>| {
            let other = claims
                .get(engine)
                .is_some_and(|claim| claim.project != owner.project && Path::new(&claim.path).exists());
            if !other {
                let claim = Claim { project: owner.project.clone(), path: owner.path.clone() };
                claims.insert(engine.to_owned(), claim);
            }
            !other
        });
        taken.map_err(|source| NamesError::Table { path: self.path.display().to_string(), source })
    }
}

/// The names of this project: as remembered, or as they would be chosen now.
///
/// # Errors
///
/// The engine or the store failed.
pub async fn look<'a>(
    runtime: &dyn ContainerRuntime,
    store: Option<&Store>,
    owner: &Owner,
    network: &str,
    services: impl Iterator<Item = &'a ServiceSpec> + Send,
) -> Result<Names, NamesError> {
    let plain = Names { network: network.to_owned(), suffix: None };
    if let Some(suffix) = store.map(|store| store.meta(META_SUFFIX)).transpose()?.flatten() {
        return Ok(Names { suffix: (!suffix.is_empty()).then_some(suffix), ..plain });
    }
    let wanted = plain_names(&plain, services);
    let managed: Labels = [(LabelKey::MANAGED, "true")].into_iter().collect();
    let listing = runtime.list(&ListFilter { labels: managed, networks_and_volumes: true }).await?;
    let foreign = |name: &str, labels: &Labels| {
        labels.get(LabelKey::PROJECT) != Some(&owner.project.0) && wanted.contains(name)
    };
    let taken = listing.containers.iter().any(|container| foreign(&container.name, &container.labels))
        || listing.networks.iter().any(|network| foreign(&network.name, &network.labels))
        || listing.volumes.iter().any(|volume| foreign(&volume.name, &volume.labels));
    Ok(Names { suffix: taken.then(|| suffix(owner)), ..plain })
}

/// Chooses the names of this project, once, and remembers them.
///
/// # Errors
///
/// The engine, the store or the table of claims failed.
pub async fn choose<'a>(
    runtime: &dyn ContainerRuntime,
    store: &Store,
    claims: &ClaimFile,
    owner: &Owner,
    network: &str,
    services: impl Iterator<Item = &'a ServiceSpec> + Send,
) -> Result<Names, NamesError> {
    let mut names = look(runtime, Some(store), owner, network, services).await?;
    if store.meta(META_SUFFIX)?.is_none() {
        let engine = runtime.info().await?.endpoint;
        if names.suffix.is_none() && !claims.take(&engine, owner)? {
            names.suffix = Some(suffix(owner));
        }
        store.set_meta(META_SUFFIX, names.suffix.as_deref().unwrap_or_default())?;
    }
    Ok(names)
}

fn suffix(owner: &Owner) -> String {
    owner.project.0.chars().take(6).collect()
}

fn plain_names<'a>(names: &Names, services: impl Iterator<Item = &'a ServiceSpec>) -> BTreeSet<String> {
    let mut wanted: BTreeSet<String> = [names.network()].into();
    for spec in services {
        wanted.insert(names.service(&spec.name));
        for mount in &spec.volumes {
            if let VolumeSource::Named(name) = &mount.source {
                wanted.insert(names.volume(name));
            }
        }
    }
    wanted
}
