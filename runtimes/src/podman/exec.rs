//! Commands in a running container, over a connection that is taken over for their bytes.
//!
//! Podman leaves two `conmon` processes behind for each such command until its `exit_command_delay` is over (five
//! minutes by default); its API has no way to say otherwise. So nothing may be run this way on a timer.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use hyper::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf};

use super::error::Failure;
use super::frames::Frames;
use super::http::{Client, Raw, Target};
use super::wire::{Created, ExecState};
use super::{Podman, READ, START, within};
use crate::{
    Error, ErrorKind, ExecOutput, ExecSpec, Interactive, InteractiveControl, Result, StreamKind, TtySize,
};

const WHAT: &str = "run a command in";
/// How long the engine may take to notice that a command whose output ended has ended.
const SETTLE: Duration = Duration::from_secs(10);
const BUFFER: usize = 32 << 10;

impl Podman {
    pub(super) async fn run(&self, id: &str, spec: &ExecSpec) -> Result<ExecOutput> {
        let running = self.run_unbounded(id, spec);
        let ran = match spec.timeout {
            Some(limit) => within(limit, running).await,
            None => running.await,
        };
        ran.map_err(|failure| match (&failure, spec.timeout) {
            (Failure::Late, Some(limit)) => {
                Error::new(ErrorKind::Timeout, WHAT, id, format!("the command did not end within {limit:?}"))
            }
            _ => failure.at(WHAT, id),
        })
    }

    async fn run_unbounded(&self, id: &str, spec: &ExecSpec) -> Result<ExecOutput, Failure> {
        let session = create(&self.client, id, spec, spec.stdin.is_some(), false).await?;
        let raw = start(&self.client, &session, None).await?;
        let (mut reader, mut writer) = tokio::io::split(raw);
        let feed = async {
            if let Some(input) = &spec.stdin {
                // A command that does not read its input to the end is no error.
                let _unread = writer.write_all(input).await;
                let _closed = writer.shutdown().await;
            }
        };
        let (output, ()) = tokio::join!(collect(&mut reader), feed);
        let mut output = output?;
        output.exit_code = exit_code(&self.client, &session).await?;
        Ok(output)
    }

    pub(super) async fn run_interactive(
        &self,
        id: &str,
        spec: &ExecSpec,
        tty: Option<TtySize>,
    ) -> Result<Interactive> {
        let begun = async {
            let session = create(&self.client, id, spec, true, tty.is_some()).await?;
            let raw = start(&self.client, &session, tty).await?;
            Ok::<_, Failure>((session, raw))
        };
        let (session, raw) = begun.await.map_err(|failure| failure.at(WHAT, id))?;
        let (reader, writer) = tokio::io::split(raw);
        Ok(Interactive {
            stdin: Box::pin(writer),
            output: output(reader, id.to_owned(), tty.is_some()),
            control: Box::new(Control { client: self.client.clone(), session, container: id.to_owned() }),
        })
    }
}

async fn create(
    client: &Client,
    id: &str,
    spec: &ExecSpec,
    stdin: bool,
    tty: bool,
) -> Result<String, Failure> {
    let env: Vec<_> = spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut body = json!({
        "AttachStdin": stdin,
        "AttachStdout": true,
        "AttachStderr": true,
        "Tty": tty,
        "Cmd": spec.command,
        "Env": env,
    });
    if let Some(fields) = body.as_object_mut() {
        if let Some(user) = &spec.user {
            fields.insert("User".into(), user.as_str().into());
        }
        if let Some(workdir) = &spec.workdir {
            fields.insert("WorkingDir".into(), workdir.as_str().into());
        }
    }
    let target = Target::new(&["containers", id, "exec"]);
    let created: Created =
        within(READ, client.json(Method::POST, &target, Some(body.to_string().into_bytes()))).await?;
    Ok(created.id)
}

async fn start(client: &Client, session: &str, tty: Option<TtySize>) -> Result<Raw, Failure> {
    let mut body = json!({ "Detach": false, "Tty": tty.is_some() });
    if let (Some(size), Some(fields)) = (tty, body.as_object_mut()) {
        fields.insert("h".into(), size.rows.into());
        fields.insert("w".into(), size.columns.into());
    }
    let target = Target::new(&["exec", session, "start"]);
    within(START, client.hijack(&target, body.to_string().into_bytes())).await
}

/// Reads what there is. A command that ends without having read its input resets the connection: that is its end too,
/// and if it was the engine's, asking for the exit code tells.
async fn read(reader: &mut ReadHalf<Raw>, buffer: &mut [u8]) -> io::Result<usize> {
    match reader.read(buffer).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
        read => read,
    }
}

/// Reads both streams to their end, keeping what fits.
async fn collect(reader: &mut ReadHalf<Raw>) -> Result<ExecOutput, Failure> {
    let mut output = ExecOutput::default();
    let mut frames = Frames::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = read(reader, &mut buffer).await.map_err(Failure::broken)?;
        if read == 0 {
            return Ok(output);
        }
        let mut input = buffer.get(..read).unwrap_or_default();
        while let Some(piece) = frames.next(&mut input) {
            let piece = piece?;
            let kept = match piece.stream {
                StreamKind::Stdout => &mut output.stdout,
                StreamKind::Stderr => &mut output.stderr,
            };
            let room = ExecOutput::LIMIT - kept.len();
            output.truncated |= piece.bytes.len() > room;
            // What does not fit is read all the same: the command must not block on a full pipe.
            kept.extend_from_slice(piece.bytes.get(..room).unwrap_or(piece.bytes));
        }
    }
}

/// The exit code of a command whose output has ended. While it runs the engine tells 0, so that is looked at first.
async fn exit_code(client: &Client, session: &str) -> Result<i64, Failure> {
    let target = Target::new(&["exec", session, "json"]);
    within(SETTLE, async {
        let mut pause = Duration::from_millis(5);
        loop {
            let state: ExecState = client.get(&target).await?;
            if !state.running {
                return Ok::<_, Failure>(state.exit_code);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    })
    .await
}

fn output(reader: ReadHalf<Raw>, id: String, tty: bool) -> BoxStream<'static, Result<(StreamKind, Vec<u8>)>> {
    struct Source {
        reader: ReadHalf<Raw>,
        id: String,
        frames: Option<Frames>,
        over: bool,
    }
    let source = Source { reader, id, frames: (!tty).then(Frames::default), over: false };
    // One read may hold pieces of both streams, so reads become small lists of pieces.
    stream::unfold(source, |mut source| async move {
        if source.over {
            return None;
        }
        let mut buffer = vec![0; BUFFER];
        let mut pieces = Vec::new();
        let read = match read(&mut source.reader, &mut buffer).await {
            Ok(0) => return None,
            Ok(read) => read,
            Err(error) => {
                source.over = true;
                return Some((vec![Err(Failure::broken(error).at(WHAT, &source.id))], source));
            }
        };
        let mut input = buffer.get(..read).unwrap_or_default();
        match &mut source.frames {
            // A terminal's bytes come as they are.
            None => pieces.push(Ok((StreamKind::Stdout, input.to_vec()))),
            Some(frames) => {
                while let Some(piece) = frames.next(&mut input) {
                    match piece {
                        Ok(piece) if piece.bytes.is_empty() => {}
                        Ok(piece) => pieces.push(Ok((piece.stream, piece.bytes.to_vec()))),
                        Err(failure) => {
                            source.over = true;
                            pieces.push(Err(failure.at(WHAT, &source.id)));
                            break;
                        }
                    }
                }
            }
        }
        Some((pieces, source))
    })
    .flat_map(stream::iter)
    .boxed()
}

struct Control {
    client: Client,
    session: String,
    container: String,
}

#[async_trait]
impl InteractiveControl for Control {
    async fn resize(&self, size: TtySize) -> Result<()> {
        let target = Target::new(&["exec", &self.session, "resize"])
            .query("h", &size.rows.to_string())
            .query("w", &size.columns.to_string());
        match within(READ, self.client.done(Method::POST, &target)).await {
            // The engine refuses when the command has ended: 404, 409 or 500, by version.
            Ok(_) | Err(Failure::Api { .. }) => Ok(()),
            Err(failure) => Err(failure.at("resize the terminal in", &self.container)),
        }
    }

    async fn exit_code(&self) -> Result<i64> {
        exit_code(&self.client, &self.session).await.map_err(|failure| match failure.kind() {
            ErrorKind::Timeout => Error::new(
                ErrorKind::Conflict,
                "read the exit code in",
                &self.container,
                "the command still runs",
            ),
            _ => failure.at("read the exit code in", &self.container),
        })
    }
}
