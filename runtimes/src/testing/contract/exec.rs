//! Commands in containers, as far as every engine can run them.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::lab::{Lab, SOON, collect, words};
use super::{Outcome, fails, holds};
use crate::{ErrorKind, ExecSpec, ProbeResult, StreamKind};

pub(super) async fn output_and_code_are_collected(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    let output = lab.exec(&id, &["echo", "hello"]).await?;
    holds!(output.exit_code == 0 && output.stdout == b"hello\n" && output.stderr.is_empty(), "{output:?}");
    let output = lab.exec(&id, &["false"]).await?;
    holds!(output.exit_code == 1 && output.stdout.is_empty(), "{output:?}");
    Ok(())
}

pub(super) async fn a_missing_program_has_a_code(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    let output = lab.exec(&id, &["there-is-no-such-program"]).await?;
    holds!(matches!(output.exit_code, 126 | 127), "{output:?}");
    holds!(output.stdout.is_empty(), "the reason is not output: {output:?}");
    Ok(())
}

pub(super) async fn input_is_read(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    let spec = ExecSpec {
        command: words(&["cat"]),
        stdin: Some(b"\x01line\nhalf".to_vec()),
        timeout: Some(SOON),
        ..ExecSpec::default()
    };
    let output = lab.runtime.exec(&id, &spec).await?;
    holds!(output.exit_code == 0 && output.stdout == b"\x01line\nhalf", "{output:?}");
    // Without input a command sees its end at once.
    let output = lab.exec(&id, &["cat"]).await?;
    holds!(output.exit_code == 0 && output.stdout.is_empty(), "{output:?}");
    Ok(())
}

pub(super) async fn environment_and_directory_are_set(lab: &Lab) -> Outcome {
    let mut container = lab.spec();
    container.env = [("KEPT", "1"), ("CHANGED", "1")].map(|(key, value)| (key.into(), value.into())).into();
    let id = lab.start(&container).await?;
    let spec = ExecSpec {
        command: words(&["env"]),
        env: [("CHANGED", "a=b c"), ("ADDED", "")].map(|(key, value)| (key.into(), value.into())).into(),
        timeout: Some(SOON),
        ..ExecSpec::default()
    };
    let output = lab.runtime.exec(&id, &spec).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in ["KEPT=1", "CHANGED=a=b c", "ADDED="] {
        holds!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    let spec = ExecSpec {
        command: words(&["pwd"]),
        workdir: Some("/tmp".to_owned()),
        timeout: Some(SOON),
        ..ExecSpec::default()
    };
    let output = lab.runtime.exec(&id, &spec).await?;
    holds!(output.stdout == b"/tmp\n", "{output:?}");
    Ok(())
}

pub(super) async fn a_stopped_container_runs_nothing(lab: &Lab) -> Outcome {
    let id = lab.runtime.create(&lab.spec()).await?;
    let spec = ExecSpec { command: words(&["true"]), ..ExecSpec::default() };
    fails!(lab.runtime.exec(&id, &spec).await, ErrorKind::Conflict, "a command in one that does not run");
    Ok(())
}

pub(super) async fn patience_ends(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    let spec = ExecSpec {
        command: words(&["sleep", "20"]),
        timeout: Some(Duration::from_millis(500)),
        ..ExecSpec::default()
    };
    fails!(lab.runtime.exec(&id, &spec).await, ErrorKind::Timeout, "a command that takes too long");
    let output = lab.exec(&id, &["echo", "still here"]).await?;
    holds!(output.exit_code == 0, "after a timeout: {output:?}");
    Ok(())
}

pub(super) async fn an_interactive_command_talks(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    let spec = ExecSpec { command: words(&["cat"]), ..ExecSpec::default() };
    let mut talk = lab.runtime.exec_interactive(&id, &spec, None).await?;
    let written = async {
        talk.stdin.write_all(b"\x01hello\n").await?;
        talk.stdin.shutdown().await
    };
    written.await.map_err(|error| super::Broken(format!("writing: {error}")))?;
    let mut output = Vec::new();
    for piece in collect(talk.output, SOON).await? {
        let (stream, bytes) = piece?;
        holds!(stream == StreamKind::Stdout, "output on {stream:?}");
        output.extend(bytes);
    }
    holds!(output == b"\x01hello\n", "it said {:?}", String::from_utf8_lossy(&output));
    let code = talk.control.exit_code().await?;
    holds!(code == 0, "it ended with {code}");
    Ok(())
}

pub(super) async fn a_probe_ends_well(lab: &Lab) -> Outcome {
    let mut spec = lab.spec();
    let command = words(&["true"]);
    spec.probe = Some(command.clone());
    let id = lab.start(&spec).await?;
    lab.until("the probe succeeds", async || {
        let probe = lab.runtime.probe(&id, &command, Duration::from_secs(5)).await?;
        Ok((probe.result == ProbeResult::Exited(0)).then_some(()))
    })
    .await?;
    lab.runtime.stop(&id, Duration::ZERO).await?;
    let probe = lab.runtime.probe(&id, &command, Duration::from_secs(5)).await;
    fails!(probe, ErrorKind::Conflict, "a probe of one that does not run");
    Ok(())
}
