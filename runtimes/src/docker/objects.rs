//! Networks and volumes.

use bollard::models::{Network as DockerNetwork, VolumeCreateRequest};
use bollard::query_parameters::{ListNetworksOptions, ListVolumesOptions, RemoveVolumeOptions};
use serde_json::json;
use tokio::sync::Mutex;

use super::errors::{Failure, name_taken};
use super::{Docker, QUICK, SLOW, check_name, convert, http};
use crate::{
    ContainerRuntime as _, Error, ErrorKind, Labels, Network, NetworkSpec, Result, Volume, VolumeSpec,
};

const MAKE_NETWORK: &str = "create network";
const REMOVE_NETWORK: &str = "remove network";
const CONNECT_NETWORK: &str = "put a container on network";
const MAKE_VOLUME: &str = "create volume";
const REMOVE_VOLUME: &str = "remove volume";

/// One network is made at a time in this process: engines before 23 allow two of one name.
static MAKING: Mutex<()> = Mutex::const_new(());

pub(super) async fn ensure_network(docker: &Docker, spec: &NetworkSpec) -> Result<Network> {
    check_name(MAKE_NETWORK, &spec.name)?;
    let fail = |failure: Failure| failure.into_error(MAKE_NETWORK, &spec.name);
    let _making = MAKING.lock().await;
    let found = networks_named(docker, &spec.name).await.map_err(fail)?;
    if let Some(found) = settle(docker, found, spec).await? {
        return Ok(found);
    }
    let body = json!({
        "Name": spec.name,
        "CheckDuplicate": true,
        "Driver": "bridge",
        "Labels": spec.labels.0,
    });
    let mut call = http::Call::post("/networks/create", &[], Some(body));
    call.headers = Some(SLOW);
    match http::send(&docker.target, call).await {
        Ok(_made) => {}
        // Another process was faster: theirs is looked at below.
        Err(failure) if failure.status() == Some(409) => {}
        Err(failure) => return Err(fail(failure)),
    }
    // The engine's check for duplicates is not atomic either.
    let found = networks_named(docker, &spec.name).await.map_err(fail)?;
    settle(docker, found, spec).await?.ok_or_else(|| {
        Error::new(ErrorKind::Conflict, MAKE_NETWORK, &spec.name, "it was removed while it was being made")
    })
}

/// Of the networks of one name, the one that stays, if it is the same owner's; every maker settles on the same.
///
/// Old engines allow several of one name, and then start no container on any of them, not even by id. So what is
/// ours and not in use goes, the smallest id last.
async fn settle(docker: &Docker, mut found: Vec<Network>, spec: &NetworkSpec) -> Result<Option<Network>> {
    if let Some(foreign) = found.iter().find(|network| !network.labels.owned_by(&spec.labels)) {
        let labels = foreign.labels.clone();
        return Err(name_taken(MAKE_NETWORK, &spec.name, labels, "another network has this name"));
    }
    let mut index = found.len();
    while index > 0 && found.len() > 1 {
        index -= 1;
        match remove_by_id(docker, &found[index].id).await {
            Ok(()) => {
                found.remove(index);
            }
            Err(failure) => match failure.into_error(MAKE_NETWORK, &spec.name) {
                error if error.kind == ErrorKind::InUse => {}
                error => return Err(error),
            },
        }
    }
    if found.len() > 1 {
        let detail = "several networks have this name and are in use";
        return Err(Error::new(ErrorKind::Conflict, MAKE_NETWORK, &spec.name, detail));
    }
    Ok(found.pop())
}

pub(super) async fn remove_network(docker: &Docker, name: &str) -> Result<()> {
    check_name(REMOVE_NETWORK, name)?;
    let fail = |failure: Failure| failure.into_error(REMOVE_NETWORK, name);
    let mut found = networks_named(docker, name).await.map_err(fail)?;
    if found.len() > 1 {
        // The name alone cannot say which is meant; what is not Tanuki's is never touched.
        found.retain(|network| network.labels.get(Labels::MANAGED) == Some("true"));
        if found.is_empty() {
            return Err(Error::new(
                ErrorKind::Conflict,
                REMOVE_NETWORK,
                name,
                "several networks have this name",
            ));
        }
    }
    for network in found {
        remove_by_id(docker, &network.id).await.map_err(fail)?;
    }
    Ok(())
}

pub(super) async fn connect_network(docker: &Docker, name: &str, id: &str) -> Result<()> {
    check_name(CONNECT_NETWORK, name)?;
    // Of a container that does not run, old engines only take down the name: it would fail to start later.
    let known =
        networks_named(docker, name).await.map_err(|failure| failure.into_error(CONNECT_NETWORK, name))?;
    if known.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, CONNECT_NETWORK, name, "no such network"));
    }
    let path = format!("/networks/{name}/connect");
    let mut call = http::Call::post(&path, &[], Some(json!({ "Container": id })));
    call.headers = Some(SLOW);
    match http::send(&docker.target, call).await {
        Ok(_connected) => Ok(()),
        // Refused with one code for several reasons; only this one is no trouble.
        Err(_refused)
            if docker.inspect(id).await.is_ok_and(|found| found.networks.iter().any(|on| on == name)) =>
        {
            Ok(())
        }
        Err(failure) => Err(failure.into_error(CONNECT_NETWORK, name)),
    }
}

async fn remove_by_id(docker: &Docker, id: &str) -> Result<(), Failure> {
    match docker.call(SLOW, docker.client.remove_network(id)).await {
        Err(failure) if failure.status() == Some(404) => Ok(()),
        other => other,
    }
}

/// Every network of exactly this name, by id.
async fn networks_named(docker: &Docker, name: &str) -> Result<Vec<Network>, Failure> {
    let mut found = networks(docker, "name", vec![name.to_owned()]).await?;
    // The engine's filter matches parts of names.
    found.retain(|network| network.name == name);
    found.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(found)
}

/// Every network with these labels, by name.
pub(super) async fn list_networks(docker: &Docker, labels: Vec<String>) -> Result<Vec<Network>, Failure> {
    let mut found = networks(docker, "label", labels).await?;
    found.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    Ok(found)
}

async fn networks(docker: &Docker, filter: &str, values: Vec<String>) -> Result<Vec<Network>, Failure> {
    let filters = Some([(filter.to_owned(), values)].into_iter().collect());
    let found =
        docker.call(QUICK, docker.client.list_networks(Some(ListNetworksOptions { filters }))).await?;
    Ok(found.into_iter().map(network).collect())
}

fn network(found: DockerNetwork) -> Network {
    Network {
        id: found.id.unwrap_or_default(),
        name: found.name.unwrap_or_default(),
        labels: convert::labels(found.labels),
    }
}

pub(super) async fn ensure_volume(docker: &Docker, spec: &VolumeSpec) -> Result<Volume> {
    check_name(MAKE_VOLUME, &spec.name)?;
    let request = VolumeCreateRequest {
        name: Some(spec.name.clone()),
        labels: Some(spec.labels.0.clone().into_iter().collect()),
        ..VolumeCreateRequest::default()
    };
    // The engine returns one that exists as it is, whoever made it.
    let found = docker
        .call(SLOW, docker.client.create_volume(request))
        .await
        .map_err(|failure| failure.into_error(MAKE_VOLUME, &spec.name))?;
    let volume = Volume { name: found.name, labels: found.labels.into_iter().collect() };
    if volume.labels.owned_by(&spec.labels) {
        return Ok(volume);
    }
    Err(name_taken(MAKE_VOLUME, &spec.name, volume.labels, "another volume has this name"))
}

pub(super) async fn remove_volume(docker: &Docker, name: &str) -> Result<()> {
    check_name(REMOVE_VOLUME, name)?;
    match docker.call(SLOW, docker.client.remove_volume(name, None::<RemoveVolumeOptions>)).await {
        Err(failure) if failure.status() == Some(404) => Ok(()),
        other => other.map_err(|failure| failure.into_error(REMOVE_VOLUME, name)),
    }
}

/// Whether there is a volume of this name: the engine would make a missing one when it is mounted.
pub(super) async fn volume_exists(docker: &Docker, name: &str) -> Result<bool, Failure> {
    match docker.call(QUICK, docker.client.inspect_volume(name)).await {
        Ok(_) => Ok(true),
        Err(failure) if failure.status() == Some(404) => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Every volume with these labels, by name.
pub(super) async fn list_volumes(docker: &Docker, labels: Vec<String>) -> Result<Vec<Volume>, Failure> {
    let filters = Some([("label".to_owned(), labels)].into_iter().collect());
    let found = docker.call(QUICK, docker.client.list_volumes(Some(ListVolumesOptions { filters }))).await?;
    let mut volumes: Vec<_> = found
        .volumes
        .unwrap_or_default()
        .into_iter()
        .map(|volume| Volume { name: volume.name, labels: volume.labels.into_iter().collect() })
        .collect();
    volumes.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(volumes)
}
