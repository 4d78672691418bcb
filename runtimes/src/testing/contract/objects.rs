//! The engine itself, images, networks, volumes and lists.

use super::lab::Lab;
use super::{Broken, Outcome, fails, holds};
use crate::{ErrorKind, Labels, ListFilter, Mount, MountSource, NetworkAttachment};

pub(super) async fn the_engine_tells_of_itself(lab: &Lab) -> Outcome {
    lab.runtime.ping().await?;
    let info = lab.runtime.info().await?;
    holds!(!info.version.is_empty(), "no version");
    holds!(!info.endpoint.is_empty(), "no endpoint");
    holds!(lab.runtime.info().await? == info, "it changed its mind");
    Ok(())
}

pub(super) async fn images_are_told_without_a_registry(lab: &Lab) -> Outcome {
    let image = lab.runtime.image(&lab.images.plain).await?;
    holds!(image.is_some_and(|image| !image.id.is_empty()), "{} is not there", lab.images.plain);
    let none = lab.runtime.image("tanuki-test/there-is-none:1").await?;
    holds!(none.is_none(), "an image that nobody made");
    Ok(())
}

pub(super) async fn ensuring_a_network_twice_makes_one(lab: &Lab) -> Outcome {
    let spec = lab.network();
    let first = lab.runtime.ensure_network(&spec).await?;
    let second = lab.runtime.ensure_network(&spec).await?;
    holds!(first == second, "{first:?} is not {second:?}");
    holds!(first.name == spec.name && first.labels.contains(&spec.labels), "{first:?}");
    lab.runtime.remove_network(&spec.name).await?;
    let networks = networks(lab).await?;
    holds!(networks.is_empty(), "after removal there are {networks:?}");
    Ok(())
}

pub(super) async fn ensuring_a_network_at_once_makes_one(lab: &Lab) -> Outcome {
    let spec = lab.network();
    let calls = (0..6).map(|_| lab.runtime.ensure_network(&spec));
    let made = futures_util::future::try_join_all(calls).await?;
    holds!(made.iter().all(|network| network.id == made[0].id), "they differ: {made:?}");
    let networks = networks(lab).await?;
    holds!(networks.len() == 1, "there are {networks:?}");
    Ok(())
}

async fn networks(lab: &Lab) -> Result<Vec<String>, Broken> {
    let filter = ListFilter { labels: lab.labels(), networks_and_volumes: true };
    let networks = lab.runtime.list(&filter).await?.networks;
    Ok(networks.into_iter().map(|network| format!("{} {}", network.name, network.id)).collect())
}

pub(super) async fn a_foreign_network_is_refused(lab: &Lab) -> Outcome {
    let mut spec = lab.network();
    spec.labels = lab.foreign_labels();
    lab.runtime.ensure_network(&spec).await?;
    let theirs = spec.labels.clone();
    spec.labels = lab.labels();
    let error = fails!(lab.runtime.ensure_network(&spec).await, ErrorKind::NameTaken(_), "a foreign network");
    holder_is(&error.kind, &theirs)
}

pub(super) async fn a_network_in_use_stays(lab: &Lab) -> Outcome {
    let network = lab.network();
    lab.runtime.ensure_network(&network).await?;
    let mut spec = lab.spec();
    spec.network =
        Some(NetworkAttachment { network: network.name.clone(), aliases: vec!["other".to_owned()] });
    let id = lab.start(&spec).await?;
    let found = lab.runtime.inspect(&id).await?;
    holds!(found.networks == [network.name.clone()], "inspect tells the networks {:?}", found.networks);
    let listed = lab.listed(&id).await?.map(|listed| listed.networks);
    holds!(listed == Some(vec![network.name.clone()]), "list tells the networks {listed:?}");
    fails!(lab.runtime.remove_network(&network.name).await, ErrorKind::InUse, "a network in use");
    lab.runtime.remove(&id).await?;
    lab.runtime.remove_network(&network.name).await?;
    Ok(())
}

pub(super) async fn a_container_enters_a_further_network(lab: &Lab) -> Outcome {
    let (first, second) = (lab.network(), lab.network());
    lab.runtime.ensure_network(&first).await?;
    lab.runtime.ensure_network(&second).await?;
    let mut spec = lab.spec();
    spec.network = Some(NetworkAttachment { network: first.name.clone(), aliases: Vec::new() });
    let id = lab.runtime.create(&spec).await?;
    let absent = lab.network().name;
    fails!(lab.runtime.connect_network(&absent, &id).await, ErrorKind::NotFound, "an absent network");
    lab.runtime.connect_network(&second.name, &id).await?;
    lab.runtime.start(&id).await?;
    // Also while it runs, and when it is on it already.
    lab.runtime.connect_network(&second.name, &id).await?;
    let mut expected = [first.name.clone(), second.name.clone()];
    expected.sort();
    let mut networks = lab.runtime.inspect(&id).await?.networks;
    networks.sort();
    holds!(networks == expected, "it is on {networks:?}, not on {expected:?}");
    lab.runtime.remove(&id).await?;
    lab.runtime.remove_network(&second.name).await?;
    Ok(())
}

pub(super) async fn removing_an_absent_network_is_done(lab: &Lab) -> Outcome {
    lab.runtime.remove_network(&lab.network().name).await?;
    Ok(())
}

pub(super) async fn ensuring_a_volume_twice_makes_one(lab: &Lab) -> Outcome {
    let spec = lab.volume();
    let first = lab.runtime.ensure_volume(&spec).await?;
    let second = lab.runtime.ensure_volume(&spec).await?;
    holds!(first == second, "{first:?} is not {second:?}");
    holds!(first.name == spec.name && first.labels.contains(&spec.labels), "{first:?}");
    let volumes = volumes(lab).await?;
    holds!(volumes == [spec.name.clone()], "there are {volumes:?}");
    lab.runtime.remove_volume(&spec.name).await?;
    let volumes = self::volumes(lab).await?;
    holds!(volumes.is_empty(), "after removal there are {volumes:?}");
    Ok(())
}

async fn volumes(lab: &Lab) -> Result<Vec<String>, Broken> {
    let filter = ListFilter { labels: lab.labels(), networks_and_volumes: true };
    Ok(lab.runtime.list(&filter).await?.volumes.into_iter().map(|volume| volume.name).collect())
}

pub(super) async fn a_foreign_volume_is_refused(lab: &Lab) -> Outcome {
    let mut spec = lab.volume();
    spec.labels = lab.foreign_labels();
    lab.runtime.ensure_volume(&spec).await?;
    let theirs = spec.labels.clone();
    spec.labels = lab.labels();
    let error = fails!(lab.runtime.ensure_volume(&spec).await, ErrorKind::NameTaken(_), "a foreign volume");
    holder_is(&error.kind, &theirs)
}

fn holder_is(kind: &ErrorKind, labels: &Labels) -> Outcome {
    if let ErrorKind::NameTaken(holder) = kind {
        holds!(holder.labels.contains(labels), "the holder's labels are {:?}", holder.labels);
    }
    Ok(())
}

pub(super) async fn a_volume_in_use_stays(lab: &Lab) -> Outcome {
    let (volume, id) = container_with_volume(lab).await?;
    fails!(lab.runtime.remove_volume(&volume).await, ErrorKind::InUse, "a volume in use");
    let found = lab.runtime.inspect(&id).await?;
    holds!(found.volumes == [volume.clone()], "inspect tells the volumes {:?}", found.volumes);
    Ok(())
}

pub(super) async fn a_named_volume_survives_its_container(lab: &Lab) -> Outcome {
    let (volume, id) = container_with_volume(lab).await?;
    lab.runtime.remove(&id).await?;
    let volumes = volumes(lab).await?;
    holds!(volumes == [volume.clone()], "there are {volumes:?}");
    lab.runtime.remove_volume(&volume).await?;
    Ok(())
}

async fn container_with_volume(lab: &Lab) -> Result<(String, String), Broken> {
    let volume = lab.volume();
    lab.runtime.ensure_volume(&volume).await?;
    let mut spec = lab.spec();
    let source = MountSource::Volume(volume.name.clone());
    spec.mounts = vec![Mount { target: "/data".to_owned(), source, read_only: false }];
    let id = lab.start(&spec).await?;
    Ok((volume.name, id))
}

pub(super) async fn removing_an_absent_volume_is_done(lab: &Lab) -> Outcome {
    lab.runtime.remove_volume(&lab.volume().name).await?;
    Ok(())
}

pub(super) async fn lists_hold_what_carries_the_labels(lab: &Lab) -> Outcome {
    let mine = [lab.spec(), lab.spec()];
    for spec in &mine {
        lab.runtime.create(spec).await?;
    }
    let mut theirs = lab.spec();
    theirs.labels = lab.foreign_labels();
    let theirs_id = lab.start(&theirs).await?;
    let mut their_network = lab.network();
    their_network.labels = lab.foreign_labels();
    lab.runtime.ensure_network(&their_network).await?;
    let my_network = lab.network();
    lab.runtime.ensure_network(&my_network).await?;

    let filter = ListFilter { labels: lab.labels(), networks_and_volumes: true };
    let listing = lab.runtime.list(&filter).await?;
    let names: Vec<_> = listing.containers.iter().map(|container| container.name.clone()).collect();
    let mut wanted = mine.map(|spec| spec.name);
    wanted.sort();
    holds!(names == wanted, "{names:?} is not {wanted:?}");
    let names: Vec<_> = listing.networks.iter().map(|network| network.name.as_str()).collect();
    holds!(names == [my_network.name.as_str()], "networks are {names:?}");
    holds!(listing.volumes.is_empty(), "volumes are {:?}", listing.volumes);

    let everything = lab.runtime.list(&ListFilter::default()).await?.containers;
    holds!(everything.iter().any(|found| found.id == theirs_id), "without labels not everything is listed");
    Ok(())
}

pub(super) async fn lists_leave_networks_out_unless_asked(lab: &Lab) -> Outcome {
    lab.runtime.ensure_network(&lab.network()).await?;
    lab.runtime.ensure_volume(&lab.volume()).await?;
    let filter = ListFilter { labels: lab.labels(), networks_and_volumes: false };
    let listing = lab.runtime.list(&filter).await?;
    holds!(listing.networks.is_empty() && listing.volumes.is_empty(), "{listing:?}");
    let filter = ListFilter { labels: lab.labels(), networks_and_volumes: true };
    let listing = lab.runtime.list(&filter).await?;
    holds!(listing.networks.len() == 1 && listing.volumes.len() == 1, "{listing:?}");
    Ok(())
}
