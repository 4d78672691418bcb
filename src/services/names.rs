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
    if let Some(suffix) = store.map(|store| store.meta(&meta_key(runtime))).transpose()?.flatten() {
        return Ok(Names { suffix: (!suffix.is_empty()).then_some(suffix), ..plain });
    }
    let seen = Seen::look(runtime, owner, &plain, services).await?;
    Ok(Names { suffix: seen.own.unwrap_or_else(|| seen.taken.then(|| suffix(owner))), ..plain })
}

/// Chooses the names of this project on this engine, and remembers them. A choice stands as long as the project has
/// anything there; plain names that another project took meanwhile are given up when nothing has them yet.
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
    let plain = Names { network: network.to_owned(), suffix: None };
    let key = meta_key(runtime);
    let remembered = store.meta(&key)?;
    let seen = Seen::look(runtime, owner, &plain, services).await?;
    let chosen = match (seen.own, remembered.as_deref()) {
        // What exists decides, also after the state was lost.
        (Some(own), None) => own,
        (Some(_), Some("")) => None,
        (_, Some(suffix)) if !suffix.is_empty() => Some(suffix.to_owned()),
        _ if !seen.taken && claims.take(runtime.endpoint(), owner)? => None,
        _ => Some(suffix(owner)),
    };
    if remembered.as_deref() != Some(chosen.as_deref().unwrap_or_default()) {
        store.set_meta(&key, chosen.as_deref().unwrap_or_default())?;
    }
    Ok(Names { suffix: chosen, ..plain })
}

/// What there is on the engine that bears on the choice.
struct Seen {
    /// The suffix that this project's own objects have, if there are any.
    own: Option<Option<String>>,
    /// Another project has one of the plain names.
    taken: bool,
}

impl Seen {
    async fn look<'a>(
        runtime: &dyn ContainerRuntime,
        owner: &Owner,
        plain: &Names,
        services: impl Iterator<Item = &'a ServiceSpec> + Send,
    ) -> Result<Self, NamesError> {
        let wanted = plain_names(plain, services);
        let managed: Labels = [(LabelKey::MANAGED, "true")].into_iter().collect();
        let listing = runtime.list(&ListFilter { labels: managed, networks_and_volumes: true }).await?;
        let containers = listing.containers.iter().map(|container| (&container.name, &container.labels));
        let networks = listing.networks.iter().map(|network| (&network.name, &network.labels));
        let volumes = listing.volumes.iter().map(|volume| (&volume.name, &volume.labels));
        let (own, foreign): (Vec<_>, Vec<_>) = containers
            .chain(networks)
            .chain(volumes)
            .map(|(name, labels)| (name.as_str(), labels.get(LabelKey::PROJECT) == Some(&owner.project.0)))
            .partition(|(_, own)| *own);
        let suffix = suffix(owner);
        let ending = format!("-{suffix}");
        Ok(Self {
            own: own.first().map(|_| own.iter().any(|(name, _)| name.ends_with(&ending)).then_some(suffix)),
            taken: foreign.iter().any(|(name, _)| wanted.contains(*name)),
        })
    }
}

/// The choice is per engine: the same project may have the plain names on one and not on another.
fn meta_key(runtime: &dyn ContainerRuntime) -> String {
    format!("{META_SUFFIX}@{}", runtime.endpoint())
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
