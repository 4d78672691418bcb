//! Commands in running containers: collected, connected to the caller, and as probes.
//!
//! The command's connection is taken over by hand and not through `bollard`, whose decoder takes the bytes 0, 1 and 2
//! at the start of a terminal's output for a frame.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bollard::models::ExecConfig;
use bollard::query_parameters::ResizeExecOptions;
use futures_util::stream::{self, BoxStream, StreamExt};
use hyper::Method;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::errors::Failure;
use super::frames::Frames;
use super::{Docker, QUICK, SLOW, http};
use crate::{
    Error, ErrorKind, ExecOutput, ExecSpec, Interactive, InteractiveControl, ProbeOutput, ProbeResult,
    Result, StreamKind, TtySize,
};

const EXEC: &str = "run a command in";
const PROBE: &str = "probe";

/// Most that is kept of what a probe prints, in bytes.
const PROBE_OUTPUT: usize = 4096;

/// How an exec stands.
enum Standing {
    Running,
    Exited(i64),
    /// Created, and never started.
    Idle,
}

pub(super) async fn exec(docker: &Docker, id: &str, spec: &ExecSpec) -> Result<ExecOutput> {
    let fail = |failure: Failure| failure.into_error(EXEC, id);
    let exec = create(docker, id, spec, spec.stdin.is_some(), false).await.map_err(fail)?;
    let mut output = ExecOutput::default();
    let run = collect(docker, &exec, spec.stdin.as_deref(), ExecOutput::LIMIT, &mut output);
    let ended = match spec.timeout {
        None => run.await,
        Some(limit) => match timeout(limit, run).await {
            Ok(ended) => ended,
            // A child that keeps the output open outlives the command: the command's own end counts.
            Err(_elapsed) => match standing(docker, &exec).await.map_err(fail)? {
                Standing::Exited(code) => Ok(code),
                Standing::Running | Standing::Idle => Err(Failure::timeout(limit)),
            },
        },
    };
    output.exit_code = ended.map_err(fail)?;
    // Older engines print why a command could not be run where its output would be.
    if matches!(output.exit_code, 126 | 127) && output.stdout.starts_with(b"OCI runtime exec failed") {
        output.stderr.append(&mut output.stdout);
    }
    Ok(output)
}

pub(super) async fn interactive(
    docker: &Docker,
    id: &str,
    spec: &ExecSpec,
    tty: Option<TtySize>,
) -> Result<Interactive> {
    let fail = |failure: Failure| failure.into_error(EXEC, id);
    let exec = create(docker, id, spec, true, tty.is_some()).await.map_err(fail)?;
    let io = start(docker, &exec, tty).await.map_err(fail)?;
    let (reader, writer) = tokio::io::split(io);
    let control = Control { docker: docker.clone(), exec, container: id.to_owned() };
    if let Some(size) = tty {
        // Engines before 23 take no size at the start, and refuse one until the process is there.
        for _attempt in 0..10 {
            if control.try_resize(size).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let frames = tty.is_none().then(Frames::default);
    Ok(Interactive {
        stdin: Box::pin(writer),
        output: output(reader, frames, id.to_owned()),
        control: Box::new(control),
    })
}

pub(super) async fn probe(
    docker: &Docker,
    id: &str,
    command: &[String],
    limit: Duration,
) -> Result<ProbeOutput> {
    let fail = |failure: Failure| failure.into_error(PROBE, id);
    let timed_out = |output: &ExecOutput| ProbeOutput { result: ProbeResult::TimedOut, output: text(output) };
    let deadline = tokio::time::Instant::now() + limit;
    let slot = docker.probe_slot(id);
    let mut output = ExecOutput::default();
    let Ok(mut outstanding) = tokio::time::timeout_at(deadline, slot.lock()).await else {
        return Ok(timed_out(&output));
    };
    if let Some(earlier) = outstanding.as_deref() {
        match standing(docker, earlier).await {
            Ok(Standing::Running) => return Ok(timed_out(&output)),
            Ok(Standing::Exited(_) | Standing::Idle) => {}
            // The engine forgets the execs of a container that stopped.
            Err(failure) if matches!(failure.status(), Some(404 | 409)) => {}
            Err(failure) => return Err(fail(failure)),
        }
        *outstanding = None;
    }
    let spec = ExecSpec { command: command.to_vec(), ..ExecSpec::default() };
    let exec = create(docker, id, &spec, false, false).await.map_err(fail)?;
    // Noted before it starts: whoever drops this future leaves the note behind.
    *outstanding = Some(exec.clone());
    let run = collect(docker, &exec, None, PROBE_OUTPUT, &mut output);
    let code = match tokio::time::timeout_at(deadline, run).await {
        Ok(ended) => ended.map_err(fail)?,
        Err(_elapsed) => match standing(docker, &exec).await.map_err(fail)? {
            Standing::Exited(code) => code,
            Standing::Running | Standing::Idle => return Ok(timed_out(&output)),
        },
    };
    *outstanding = None;
    Ok(ProbeOutput { result: ProbeResult::Exited(code), output: text(&output) })
}

/// What a probe printed, standard output first.
fn text(output: &ExecOutput) -> String {
    let mut bytes = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    bytes.truncate(PROBE_OUTPUT);
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    // A byte that is no text becomes three.
    let mut end = text.len().min(PROBE_OUTPUT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

async fn create(
    docker: &Docker,
    id: &str,
    spec: &ExecSpec,
    stdin: bool,
    tty: bool,
) -> Result<String, Failure> {
    let config = ExecConfig {
        attach_stdin: Some(stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(tty),
        env: Some(spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        cmd: Some(spec.command.clone()),
        user: spec.user.clone(),
        working_dir: spec.workdir.clone(),
        ..ExecConfig::default()
    };
    Ok(docker.call(QUICK, docker.client.create_exec(id, config)).await?.id)
}

async fn start(docker: &Docker, exec: &str, tty: Option<TtySize>) -> Result<impl http::Io + use<>, Failure> {
    let mut body = json!({ "Detach": false, "Tty": tty.is_some() });
    if let Some(size) = tty {
        body["ConsoleSize"] = json!([size.rows, size.columns]);
    }
    let path = format!("/exec/{exec}/start");
    let call = http::Call {
        method: Method::POST,
        path: &path,
        query: &[],
        body: Some(body),
        hijack: true,
        headers: Some(SLOW),
    };
    let response = http::send(&docker.target, call).await?;
    http::hijack(response).await
}

/// Runs a created exec to its end and keeps at most `limit` bytes of each stream.
async fn collect(
    docker: &Docker,
    exec: &str,
    stdin: Option<&[u8]>,
    limit: usize,
    output: &mut ExecOutput,
) -> Result<i64, Failure> {
    let io = match start(docker, exec, None).await {
        Ok(io) => io,
        // Newer engines refuse the start of what cannot be run; older ones print the reason.
        Err(failure) if failure.says("exec failed") || failure.says("executable file not found") => {
            output.stderr = failure.into_error(EXEC, exec).detail.into_bytes();
            return Ok(match standing(docker, exec).await? {
                Standing::Exited(code) => code,
                Standing::Running | Standing::Idle => 126,
            });
        }
        Err(failure) => return Err(failure),
    };
    let (mut reader, mut writer) = tokio::io::split(io);
    let feed = async {
        if let Some(bytes) = stdin {
            // A command need not read what it is given.
            let _unread = writer.write_all(bytes).await;
            let _unread = writer.shutdown().await;
        }
    };
    let read = async {
        let mut frames = Frames::default();
        let mut buffer = vec![0_u8; 32 << 10];
        loop {
            let count = read_some(&mut reader, &mut buffer).await.map_err(|error| Failure::io(&error))?;
            if count == 0 {
                return Ok::<(), Failure>(());
            }
            let pieces = frames.push(&buffer[..count]).map_err(unknown_stream)?;
            for piece in pieces {
                let kept = match piece.stream {
                    StreamKind::Stdout => &mut output.stdout,
                    StreamKind::Stderr => &mut output.stderr,
                };
                let room = limit.saturating_sub(kept.len()).min(piece.bytes.len());
                kept.extend_from_slice(&piece.bytes[..room]);
                output.truncated |= room < piece.bytes.len();
            }
        }
    };
    let ((), read) = tokio::join!(feed, read);
    read?;
    exit_code(docker, exec).await
}

/// Reads what is there; 0 bytes at the end.
async fn read_some(reader: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> io::Result<usize> {
    match reader.read(buffer).await {
        // The other side closed with input left unread: its output is complete. An engine that went away is noticed
        // when it is asked for the exit code.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
        other => other,
    }
}

fn unknown_stream(number: u8) -> Failure {
    Failure::other(format!("output of an unknown stream {number}"))
}

/// Waits until the command is no longer running: its output may end before it does.
async fn exit_code(docker: &Docker, exec: &str) -> Result<i64, Failure> {
    let mut pause = Duration::from_millis(5);
    loop {
        match standing(docker, exec).await? {
            Standing::Exited(code) => return Ok(code),
            Standing::Idle => return Err(Failure::other("the command was not started".to_owned())),
            Standing::Running => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}

async fn standing(docker: &Docker, exec: &str) -> Result<Standing, Failure> {
    let found = docker.call(QUICK, docker.client.inspect_exec(exec)).await?;
    // The code of a running command means nothing, on some engines it is 0.
    Ok(match (found.running, found.exit_code) {
        (Some(true), _) => Standing::Running,
        (_, Some(code)) => Standing::Exited(code),
        (_, None) => Standing::Idle,
    })
}

/// What comes from the command, frames taken apart.
fn output(
    reader: impl AsyncRead + Send + Unpin + 'static,
    frames: Option<Frames>,
    id: String,
) -> BoxStream<'static, Result<(StreamKind, Vec<u8>)>> {
    struct Output<R> {
        reader: R,
        frames: Option<Frames>,
        buffer: Vec<u8>,
        ready: VecDeque<(StreamKind, Vec<u8>)>,
        id: String,
        done: bool,
    }
    let state = Output { reader, frames, buffer: vec![0; 32 << 10], ready: VecDeque::new(), id, done: false };
    stream::unfold(state, |mut state| async move {
        loop {
            if let Some(piece) = state.ready.pop_front() {
                return Some((Ok(piece), state));
            }
            if state.done {
                return None;
            }
            let failure = match read_some(&mut state.reader, &mut state.buffer).await {
                Ok(0) => return None,
                Ok(count) => match &mut state.frames {
                    None => {
                        state.ready.push_back((StreamKind::Stdout, state.buffer[..count].to_vec()));
                        continue;
                    }
                    Some(frames) => match frames.push(&state.buffer[..count]) {
                        Ok(pieces) => {
                            state.ready.extend(pieces.into_iter().map(|piece| (piece.stream, piece.bytes)));
                            continue;
                        }
                        Err(number) => unknown_stream(number),
                    },
                },
                Err(error) => Failure::io(&error),
            };
            state.done = true;
            return Some((Err(failure.into_error(EXEC, &state.id)), state));
        }
    })
    .boxed()
}

struct Control {
    docker: Docker,
    exec: String,
    container: String,
}

impl Control {
    async fn try_resize(&self, size: TtySize) -> Result<(), Failure> {
        let options = ResizeExecOptions { h: i32::from(size.rows), w: i32::from(size.columns) };
        self.docker.call(QUICK, self.docker.client.resize_exec(&self.exec, options)).await
    }
}

#[async_trait]
impl InteractiveControl for Control {
    async fn resize(&self, size: TtySize) -> Result<()> {
        match self.try_resize(size).await {
            // The engine answered, so the command is gone or not there yet.
            Err(failure) if failure.status().is_some() => Ok(()),
            other => other.map_err(|failure| failure.into_error("resize the terminal of", &self.container)),
        }
    }

    async fn exit_code(&self) -> Result<i64> {
        let asked = timeout(QUICK, exit_code(&self.docker, &self.exec)).await;
        asked
            .map_err(|_elapsed| {
                Error::new(
                    ErrorKind::Timeout,
                    EXEC,
                    &self.container,
                    "the output ended but the command did not",
                )
            })?
            .map_err(|failure| failure.into_error(EXEC, &self.container))
    }
}

/// The probe under way in one container: the exec that may still run.
pub(super) type ProbeSlot = Arc<tokio::sync::Mutex<Option<String>>>;
