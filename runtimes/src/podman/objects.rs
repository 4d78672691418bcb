//! Networks and volumes, through podman-api.

use podman_api::{models, opts};

use super::error::Failure;
use super::http::encoded;
use super::{Podman, READ, WRITE, within};
use crate::{Error, ErrorKind, Holder, Labels, Network, NetworkSpec, Result, Volume, VolumeSpec};

impl Podman {
    pub(super) async fn make_network(&self, spec: &NetworkSpec) -> Result<Network> {
        const WHAT: &str = "create network";
        let options = opts::NetworkCreateOpts::builder()
            .name(&spec.name)
            .driver("bridge")
            // Without it containers do not find each other by name.
            .dns_enabled(true)
            .labels(&spec.labels.0)
            .build();
        let mut tries = 3;
        loop {
            tries -= 1;
            let failure = match within(WRITE, self.api.networks().create(&options)).await {
                Ok(made) => return Ok(network(made)),
                Err(failure) => failure,
            };
            if !matches!(failure.kind(), ErrorKind::NameTaken(_)) {
                return Err(failure.at(WHAT, &spec.name));
            }
            match within(READ, self.api.networks().get(encoded(&spec.name)).inspect()).await {
                Ok(found) => {
                    let found = network(found);
                    return owned(WHAT, &found.name.clone(), found.labels.clone(), &spec.labels)
                        .map(|()| found);
                }
                // Removed between the two calls: make it after all.
                Err(gone) if gone.kind() == ErrorKind::NotFound && tries > 0 => {}
                Err(failure) => return Err(failure.at(WHAT, &spec.name)),
            }
        }
    }

    pub(super) async fn make_volume(&self, spec: &VolumeSpec) -> Result<Volume> {
        const WHAT: &str = "create volume";
        let options = opts::VolumeCreateOpts::builder().name(&spec.name).labels(&spec.labels.0).build();
        let mut tries = 3;
        loop {
            tries -= 1;
            let failure = match within(WRITE, self.api.volumes().create(&options)).await {
                // Versions that answer with the existing volume are told by its labels.
                Ok(made) => {
                    let labels = to_labels(made.labels);
                    owned(WHAT, &spec.name, labels.clone(), &spec.labels)?;
                    return Ok(Volume { name: made.name.unwrap_or_else(|| spec.name.clone()), labels });
                }
                Err(failure) => failure,
            };
            if !matches!(failure.kind(), ErrorKind::NameTaken(_)) {
                return Err(failure.at(WHAT, &spec.name));
            }
            match within(READ, self.api.volumes().get(encoded(&spec.name)).inspect()).await {
                Ok(found) => {
                    let labels = to_labels(Some(found.labels));
                    owned(WHAT, &spec.name, labels.clone(), &spec.labels)?;
                    return Ok(Volume { name: spec.name.clone(), labels });
                }
                Err(gone) if gone.kind() == ErrorKind::NotFound && tries > 0 => {}
                Err(failure) => return Err(failure.at(WHAT, &spec.name)),
            }
        }
    }

    pub(super) async fn drop_network(&self, name: &str) -> Result<()> {
        const WHAT: &str = "remove network";
        let reports = match within(WRITE, self.api.networks().get(encoded(name)).delete()).await {
            Ok(reports) => reports,
            Err(failure) if failure.kind() == ErrorKind::NotFound => return Ok(()),
            Err(failure) => return Err(failure.at(WHAT, name)),
        };
        match reports.into_iter().find_map(|report| report.err).filter(|error| !error.is_empty()) {
            Some(error) => Err(Failure::reported(error).at(WHAT, name)),
            None => Ok(()),
        }
    }

    pub(super) async fn drop_volume(&self, name: &str) -> Result<()> {
        match within(WRITE, self.api.volumes().get(encoded(name)).delete()).await {
            Ok(()) => Ok(()),
            Err(failure) if failure.kind() == ErrorKind::NotFound => Ok(()),
            Err(failure) => Err(failure.at("remove volume", name)),
        }
    }

    pub(super) async fn volume_exists(&self, name: &str) -> Result<bool> {
        within(READ, self.api.volumes().get(encoded(name)).exists())
            .await
            .map_err(|failure| failure.at("look for volume", name))
    }

    /// Networks with all of `wanted`, sorted by name.
    pub(super) async fn list_networks(&self, wanted: &Labels) -> Result<Vec<Network>> {
        let filter = pairs(wanted).map(|(key, value)| opts::NetworkListFilter::LabelKeyVal(key, value));
        let options = opts::NetworkListOpts::builder().filter(filter).build();
        let listed = within(READ, self.api.networks().list(&options))
            .await
            .map_err(|failure| failure.at("list", "networks"))?;
        let mut networks: Vec<_> = listed.into_iter().map(network).collect();
        // Whether several labels mean "all" or "any" has changed between versions.
        networks.retain(|network| network.labels.contains(wanted));
        networks.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(networks)
    }

    /// Volumes with all of `wanted`, sorted by name.
    pub(super) async fn list_volumes(&self, wanted: &Labels) -> Result<Vec<Volume>> {
        let filter = pairs(wanted).map(|(key, value)| opts::VolumeListFilter::LabelKeyVal(key, value));
        let options = opts::VolumeListOpts::builder().filter(filter).build();
        let listed = within(READ, self.api.volumes().list(&options))
            .await
            .map_err(|failure| failure.at("list", "volumes"))?;
        let mut volumes: Vec<_> = listed
            .into_iter()
            .map(|volume| Volume { labels: to_labels(Some(volume.labels)), name: volume.name })
            .collect();
        volumes.retain(|volume| volume.labels.contains(wanted));
        volumes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(volumes)
    }
}

fn pairs(labels: &Labels) -> impl Iterator<Item = (String, String)> + '_ {
    labels.0.iter().map(|(key, value)| (key.clone(), value.clone()))
}

fn network(told: models::Network) -> Network {
    Network {
        id: told.id.unwrap_or_default(),
        name: told.name.unwrap_or_default(),
        labels: to_labels(told.labels),
    }
}

fn to_labels(told: Option<impl IntoIterator<Item = (String, String)>>) -> Labels {
    Labels(told.into_iter().flatten().collect())
}

/// Whether what exists belongs to whom we create for.
fn owned(what: &'static str, name: &str, found: Labels, wanted: &Labels) -> Result<()> {
    if found.owned_by(wanted) {
        return Ok(());
    }
    let holder = Holder { name: Some(name.to_owned()), labels: found };
    Err(Error::new(ErrorKind::NameTaken(Box::new(holder)), what, name, "the name is taken"))
}
