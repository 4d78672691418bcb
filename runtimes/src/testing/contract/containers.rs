//! The life of a container.

use std::time::Duration;

use super::lab::Lab;
use super::{Outcome, fails, holds};
use crate::{
    ContainerState, ErrorKind, ExecSpec, Labels, LogOptions, Mount, MountSource, NetworkAttachment,
    PortBinding,
};

pub(super) async fn a_container_goes_through_its_states(lab: &Lab) -> Outcome {
    let spec = lab.spec();
    let id = lab.runtime.create(&spec).await?;
    for (step, wanted) in
        [ContainerState::Created, ContainerState::Running, ContainerState::Exited].into_iter().enumerate()
    {
        match step {
            0 => {}
            1 => lab.runtime.start(&id).await?,
            _ => lab.runtime.stop(&id, Duration::ZERO).await?,
        }
        let found = lab.runtime.inspect(&id).await?;
        holds!(found.state == wanted, "inspect says {:?} and not {wanted:?}", found.state);
        holds!(
            found.id == id && found.name == spec.name,
            "{} {} is not {id} {}",
            found.id,
            found.name,
            spec.name
        );
        holds!(found.labels.contains(&spec.labels), "labels are lost: {:?}", found.labels);
        holds!(
            found.pid.is_some() == (wanted == ContainerState::Running),
            "{wanted:?} with pid {:?}",
            found.pid
        );
        holds!(!found.image.is_empty(), "the image is not told");
        let listed = lab.listed(&id).await?;
        let Some(listed) = listed else { return Err(super::Broken(format!("{wanted:?} but not listed"))) };
        holds!(listed.state == wanted, "list says {:?} and not {wanted:?}", listed.state);
        holds!(listed.name == spec.name, "list says {} and not {}", listed.name, spec.name);
        let by_name = lab.runtime.inspect(&spec.name).await?;
        holds!(by_name.id == id, "the name leads to {}", by_name.id);
    }
    let found = lab.runtime.inspect(&id).await?;
    holds!(found.started_at.is_some(), "it is not told when it started");
    holds!(found.finished_at >= found.started_at, "it ended before it started");
    lab.runtime.remove(&id).await?;
    holds!(lab.listed(&id).await?.is_none(), "a removed one is listed");
    Ok(())
}

pub(super) async fn starting_a_running_one_is_done(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    let before = lab.runtime.inspect(&id).await?;
    lab.runtime.start(&id).await?;
    let after = lab.runtime.inspect(&id).await?;
    holds!(after.state == ContainerState::Running, "it is {:?}", after.state);
    holds!(after.pid == before.pid, "it was started anew");
    Ok(())
}

pub(super) async fn stopping_a_stopped_one_is_done(lab: &Lab) -> Outcome {
    let created = lab.runtime.create(&lab.spec()).await?;
    lab.runtime.stop(&created, Duration::ZERO).await?;
    let id = lab.idle().await?;
    lab.runtime.stop(&id, Duration::ZERO).await?;
    let state = lab.runtime.inspect(&id).await?.state;
    holds!(state == ContainerState::Exited, "stop returned while it is {state:?}");
    lab.runtime.stop(&id, Duration::ZERO).await?;
    Ok(())
}

pub(super) async fn removing_an_absent_one_is_done(lab: &Lab) -> Outcome {
    let spec = lab.spec();
    lab.runtime.remove(&spec.name).await?;
    let id = lab.runtime.create(&spec).await?;
    lab.runtime.remove(&id).await?;
    lab.runtime.remove(&id).await?;
    lab.runtime.remove(&spec.name).await?;
    Ok(())
}

pub(super) async fn removing_kills_first(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    lab.runtime.remove(&id).await?;
    fails!(lab.runtime.inspect(&id).await, ErrorKind::NotFound, "inspecting a removed one");
    Ok(())
}

pub(super) async fn a_stopped_one_starts_again(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    let first = lab.runtime.inspect(&id).await?;
    lab.runtime.stop(&id, Duration::ZERO).await?;
    lab.runtime.start(&id).await?;
    let second = lab.runtime.inspect(&id).await?;
    holds!(second.state == ContainerState::Running, "it is {:?}", second.state);
    holds!(second.pid != first.pid, "it has the same process");
    holds!(second.started_at >= first.started_at, "its start went back in time");
    holds!(second.exit_code.is_none(), "a running one has exit code {:?}", second.exit_code);
    Ok(())
}

pub(super) async fn a_taken_name_tells_its_holder(lab: &Lab) -> Outcome {
    let mut spec = lab.spec();
    spec.labels = lab.foreign_labels();
    let id = lab.runtime.create(&spec).await?;
    let mut second = spec.clone();
    second.labels = lab.labels();
    let error = fails!(lab.runtime.create(&second).await, ErrorKind::NameTaken(_), "a name that is taken");
    let ErrorKind::NameTaken(holder) = error.kind else { return Ok(()) };
    holds!(holder.name.as_deref() == Some(spec.name.as_str()), "the holder is {:?}", holder.name);
    holds!(
        holder.labels.get(Labels::PROJECT) == spec.labels.get(Labels::PROJECT),
        "the holder's labels are {:?}",
        holder.labels
    );
    let found = lab.runtime.inspect(&spec.name).await?;
    holds!(found.id == id, "the holder was replaced");
    Ok(())
}

pub(super) async fn a_missing_image_is_told(lab: &Lab) -> Outcome {
    let mut spec = lab.spec();
    spec.image = "tanuki-test/there-is-none:1".to_owned();
    fails!(lab.runtime.create(&spec).await, ErrorKind::ImageMissing, "an image that is not there");
    fails!(lab.runtime.inspect(&spec.name).await, ErrorKind::NotFound, "a container that was not made");
    Ok(())
}

pub(super) async fn a_missing_network_is_told(lab: &Lab) -> Outcome {
    let mut spec = lab.spec();
    spec.network = Some(NetworkAttachment { network: lab.network().name, aliases: Vec::new() });
    let error = match lab.runtime.create(&spec).await {
        Ok(id) => lab.runtime.start(&id).await,
        Err(error) => Err(error),
    };
    fails!(error, ErrorKind::NotFound, "a network that is not there");
    Ok(())
}

pub(super) async fn a_missing_volume_is_told(lab: &Lab) -> Outcome {
    let mut spec = lab.spec();
    let name = lab.volume().name;
    spec.mounts =
        vec![Mount { target: "/data".to_owned(), source: MountSource::Volume(name), read_only: false }];
    fails!(lab.runtime.create(&spec).await, ErrorKind::NotFound, "a volume that is not there");
    Ok(())
}

pub(super) async fn absent_ones_are_not_found(lab: &Lab) -> Outcome {
    let name = lab.spec().name;
    let runtime = &lab.runtime;
    fails!(runtime.inspect(&name).await, ErrorKind::NotFound, "inspect");
    fails!(runtime.start(&name).await, ErrorKind::NotFound, "start");
    fails!(runtime.stop(&name, Duration::ZERO).await, ErrorKind::NotFound, "stop");
    fails!(runtime.kill(&name, "KILL").await, ErrorKind::NotFound, "kill");
    fails!(runtime.logs(&name, &LogOptions::default()).await, ErrorKind::NotFound, "logs");
    let command = ExecSpec { command: vec!["true".to_owned()], ..ExecSpec::default() };
    fails!(runtime.exec(&name, &command).await, ErrorKind::NotFound, "exec");
    fails!(runtime.exec_interactive(&name, &command, None).await, ErrorKind::NotFound, "interactive exec");
    Ok(())
}

pub(super) async fn ids_do_not_come_back(lab: &Lab) -> Outcome {
    let spec = lab.spec();
    let first = lab.runtime.create(&spec).await?;
    lab.runtime.remove(&first).await?;
    let second = lab.runtime.create(&spec).await?;
    holds!(first != second, "two containers have the id {first}");
    fails!(lab.runtime.inspect(&first).await, ErrorKind::NotFound, "the id of a removed one");
    fails!(lab.runtime.start(&first).await, ErrorKind::NotFound, "the id of a removed one");
    Ok(())
}

pub(super) async fn exit_codes_are_told(lab: &Lab) -> Outcome {
    for (program, wanted) in [("true", 0), ("false", 1)] {
        let id = lab.start(&lab.spec_running(&[program])).await?;
        let found = lab.ended(&id).await?;
        holds!(found.exit_code == Some(wanted), "{program} ended with {:?}", found.exit_code);
        let Some(listed) = lab.listed(&id).await? else { continue };
        holds!(listed.exit_code.is_none_or(|code| code == wanted), "list tells {:?}", listed.exit_code);
    }
    Ok(())
}

pub(super) async fn killing_ends_it(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    lab.runtime.kill(&id, "KILL").await?;
    let found = lab.ended(&id).await?;
    holds!(found.exit_code == Some(137), "a killed one ended with {:?}", found.exit_code);
    Ok(())
}

pub(super) async fn killing_a_stopped_one_is_a_conflict(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    lab.runtime.stop(&id, Duration::ZERO).await?;
    fails!(lab.runtime.kill(&id, "KILL").await, ErrorKind::Conflict, "killing a stopped one");
    Ok(())
}

pub(super) async fn ports_are_published_while_it_runs(lab: &Lab) -> Outcome {
    let mut spec = lab.spec();
    let wanted = PortBinding::loopback(80, lab.free_port()?);
    spec.ports = vec![wanted];
    let id = lab.start(&spec).await?;
    let found = lab.runtime.inspect(&id).await?;
    holds!(found.ports == [wanted], "inspect tells {:?}", found.ports);
    let listed = lab.listed(&id).await?.map(|listed| listed.ports);
    holds!(listed.as_deref() == Some(&[wanted][..]), "list tells {listed:?}");
    lab.runtime.stop(&id, Duration::ZERO).await?;
    // What a stopped one says differs; that it starts again on the same port does not.
    lab.runtime.start(&id).await?;
    let found = lab.runtime.inspect(&id).await?;
    holds!(found.ports == [wanted], "after a restart inspect tells {:?}", found.ports);
    Ok(())
}

pub(super) async fn a_taken_port_is_told_and_start_works_once_it_is_free(lab: &Lab) -> Outcome {
    let wanted = PortBinding::loopback(80, lab.free_port()?);
    let mut holder = lab.spec();
    holder.ports = vec![wanted];
    let holder = lab.start(&holder).await?;
    let mut second = lab.spec();
    second.ports = vec![wanted];
    let second = lab.runtime.create(&second).await?;
    let error = fails!(lab.runtime.start(&second).await, ErrorKind::PortTaken { .. }, "a port that is taken");
    if let ErrorKind::PortTaken { port: Some(port) } = error.kind {
        holds!(port == wanted.host_port, "the port is {} and not {port}", wanted.host_port);
    }
    let state = lab.runtime.inspect(&second).await?.state;
    holds!(state == ContainerState::Created, "after the failed start it is {state:?}");
    lab.runtime.stop(&holder, Duration::ZERO).await?;
    lab.runtime.start(&second).await?;
    let state = lab.runtime.inspect(&second).await?.state;
    holds!(state == ContainerState::Running, "with the port free it is {state:?}");
    Ok(())
}
