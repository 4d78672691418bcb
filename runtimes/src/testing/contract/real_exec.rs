//! Real commands in containers.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::lab::{Lab, SOON, collect, words};
use super::{Broken, Outcome, holds};
use crate::{ExecOutput, ExecSpec, Interactive, ProbeResult, StreamKind, TtySize};

fn script(text: &str) -> ExecSpec {
    ExecSpec { command: words(&["sh", "-c", text]), timeout: Some(SOON), ..ExecSpec::default() }
}

const SIZE: TtySize = TtySize { columns: 101, rows: 33 };

pub(super) async fn a_user_can_be_chosen(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    let spec = ExecSpec { user: Some("1234:2345".to_owned()), ..script("echo $(id -u) $(id -g)") };
    let output = lab.runtime.exec(&id, &spec).await?;
    holds!(output.stdout == b"1234 2345\n", "{output:?}");
    Ok(())
}

pub(super) async fn much_input_is_read(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    let spec = ExecSpec { stdin: Some(vec![1; 3_000_000]), ..script("wc -c") };
    let output = lab.runtime.exec(&id, &spec).await?;
    holds!(String::from_utf8_lossy(&output.stdout).trim() == "3000000", "{output:?}");
    // Input that nobody reads is no error.
    let spec = ExecSpec { stdin: Some(vec![1; 3_000_000]), ..script("exit 3") };
    let output = lab.runtime.exec(&id, &spec).await?;
    holds!(output.exit_code == 3, "{output:?}");
    Ok(())
}

pub(super) async fn much_output_is_cut(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    let output = lab.runtime.exec(&id, &script("head -c 3000000 /dev/zero; echo end >&2; exit 5")).await?;
    holds!(output.exit_code == 5, "it ended with {}", output.exit_code);
    holds!(
        output.truncated && output.stdout.len() == ExecOutput::LIMIT,
        "{} bytes came",
        output.stdout.len()
    );
    holds!(output.stderr == b"end\n", "errors were {:?}", output.stderr);
    Ok(())
}

pub(super) async fn output_is_told_apart(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    let output = lab.runtime.exec(&id, &script("printf '\\001out'; printf '\\002err' >&2; exit 42")).await?;
    holds!(output.stdout == b"\x01out" && output.stderr == b"\x02err", "{output:?}");
    holds!(output.exit_code == 42 && !output.truncated, "{output:?}");
    Ok(())
}

async fn terminal(lab: &Lab, id: &str, text: &str) -> Result<Interactive, Broken> {
    Ok(lab.runtime.exec_interactive(id, &script(text), Some(SIZE)).await?)
}

/// Reads until the output holds the words.
async fn read_until(talk: &mut Interactive, words: &str) -> Result<String, Broken> {
    let mut bytes = Vec::new();
    let read = timeout(SOON, async {
        while let Some(piece) = talk.output.next().await {
            bytes.extend(piece?.1);
            if String::from_utf8_lossy(&bytes).contains(words) {
                return Ok(true);
            }
        }
        Ok::<_, Broken>(false)
    })
    .await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match read {
        Ok(Ok(true)) => Ok(text),
        Ok(Err(error)) => Err(error),
        Ok(Ok(false)) | Err(_) => Err(Broken(format!("{words:?} is not in {text:?}"))),
    }
}

async fn write(talk: &mut Interactive, bytes: &[u8]) -> Outcome {
    let written = async {
        talk.stdin.write_all(bytes).await?;
        talk.stdin.flush().await
    };
    written.await.map_err(|error| Broken(format!("writing: {error}")))
}

pub(super) async fn a_terminal_has_its_size(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    let mut talk = terminal(lab, &id, "read x; stty size; read x; stty size; exit 4").await?;
    write(&mut talk, b"\n").await?;
    read_until(&mut talk, "33 101").await?;
    talk.control.resize(TtySize { columns: 80, rows: 24 }).await?;
    write(&mut talk, b"\n").await?;
    read_until(&mut talk, "24 80").await?;
    collect(talk.output, SOON).await?;
    let code = talk.control.exit_code().await?;
    holds!(code == 4, "it ended with {code}");
    // Too late is fine.
    talk.control.resize(SIZE).await?;
    Ok(())
}

pub(super) async fn a_terminal_passes_every_byte(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    for first in ["000", "001", "002"] {
        let talk =
            terminal(lab, &id, &format!("printf '\\{first}abcdefgh'; sleep 0.3; printf later")).await?;
        let mut bytes = Vec::new();
        for piece in collect(talk.output, SOON).await? {
            let (stream, piece) = piece?;
            holds!(stream == StreamKind::Stdout, "a terminal's output on {stream:?}");
            bytes.extend(piece);
        }
        let byte = u8::from_str_radix(first, 8).unwrap_or_default();
        let wanted = [&[byte][..], b"abcdefghlater"].concat();
        holds!(bytes == wanted, "{:?}", String::from_utf8_lossy(&bytes));
    }
    // Ctrl-C is a byte too.
    let mut talk =
        terminal(lab, &id, "trap 'echo caught; exit 6' INT; echo ready; while :; do sleep 0.1; done").await?;
    read_until(&mut talk, "ready").await?;
    write(&mut talk, b"\x03").await?;
    read_until(&mut talk, "caught").await?;
    collect(talk.output, SOON).await?;
    let code = talk.control.exit_code().await?;
    holds!(code == 6, "it ended with {code}");
    Ok(())
}

pub(super) async fn end_of_input_reaches_the_command(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    let mut talk = lab.runtime.exec_interactive(&id, &script("wc -c; echo done >&2"), None).await?;
    write(&mut talk, &[2; 100_000]).await?;
    talk.stdin.shutdown().await.map_err(|error| Broken(format!("end of input: {error}")))?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    for piece in collect(talk.output, SOON).await? {
        match piece? {
            (StreamKind::Stdout, bytes) => out.extend(bytes),
            (StreamKind::Stderr, bytes) => err.extend(bytes),
        }
    }
    holds!(String::from_utf8_lossy(&out).trim() == "100000", "{:?}", String::from_utf8_lossy(&out));
    holds!(err == b"done\n", "{:?}", String::from_utf8_lossy(&err));
    Ok(())
}

pub(super) async fn an_interactive_code_is_told(lab: &Lab) -> Outcome {
    let id = lab.idle().await?;
    for tty in [None, Some(SIZE)] {
        let talk = lab.runtime.exec_interactive(&id, &script("exit 23"), tty).await?;
        collect(talk.output, SOON).await?;
        let code = talk.control.exit_code().await?;
        holds!(code == 23, "with terminal {} it ended with {code}", tty.is_some());
    }
    Ok(())
}

/// A running container with this probe; its id.
async fn probed(lab: &Lab, command: &[String]) -> Result<String, Broken> {
    let mut spec = lab.spec();
    spec.probe = Some(command.to_vec());
    lab.start(&spec).await
}

pub(super) async fn a_failing_probe_tells_why(lab: &Lab) -> Outcome {
    let command = words(&["sh", "-c", "echo because; exit 1"]);
    let id = probed(lab, &command).await?;
    let probe = lab.runtime.probe(&id, &command, Duration::from_secs(10)).await?;
    // Engines that run the command themselves tell only that it failed.
    holds!(matches!(probe.result, ProbeResult::Exited(code) if code != 0), "{probe:?}");
    holds!(probe.output.contains("because"), "{probe:?}");
    Ok(())
}

pub(super) async fn a_hanging_probe_times_out(lab: &Lab) -> Outcome {
    let command = words(&["sleep", "3"]);
    let id = probed(lab, &command).await?;
    let before = tokio::time::Instant::now();
    let probe = lab.runtime.probe(&id, &command, Duration::from_secs(1)).await?;
    holds!(probe.result == ProbeResult::TimedOut, "{probe:?}");
    let took = before.elapsed();
    holds!(took < Duration::from_millis(2500), "it took {took:?}");
    Ok(())
}

pub(super) async fn probes_do_not_pile_up(lab: &Lab) -> Outcome {
    let command = words(&["sleep", "47"]);
    let id = probed(lab, &command).await?;
    for _round in 0..4 {
        let probe = lab.runtime.probe(&id, &command, Duration::from_millis(700)).await?;
        holds!(probe.result == ProbeResult::TimedOut, "{probe:?}");
    }
    // The brackets keep the counting shell from finding itself.
    let script = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -o 'sleep [4]7' | wc -l";
    let count = lab.shell(&id, script).await?;
    holds!(count.parse().is_ok_and(|count: u32| count <= 1), "{count} probes are under way");
    // When the container starts anew, so do its probes.
    lab.runtime.stop(&id, Duration::ZERO).await?;
    lab.runtime.start(&id).await?;
    let probe = lab.runtime.probe(&id, &command, Duration::from_millis(700)).await?;
    holds!(probe.result == ProbeResult::TimedOut, "{probe:?}");
    let count = lab.shell(&id, script).await?;
    holds!(count == "1", "after a restart {count} probes are under way");
    Ok(())
}
