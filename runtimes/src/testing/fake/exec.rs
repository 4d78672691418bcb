//! Commands run inside containers of the fake engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::time::{Instant, sleep_until};

use super::container::FakeContainer;
use super::image::Program;
use super::script::{self, Place, Script};
use super::world::World;
use super::{FakeRuntime, Write};
use crate::{
    ContainerState, Error, ErrorKind, ExecOutput, ExecSpec, Interactive, InteractiveControl, Result,
    StreamKind, TtySize,
};

/// A command as it began.
struct Begun {
    id: String,
    /// The run of the container it belongs to: it dies with it.
    starts: u64,
    outages: u64,
    now: Instant,
    spec: ExecSpec,
    program: Option<Program>,
}

impl World {
    fn begin_exec(&mut self, operation: &'static str, id: &str, spec: &ExecSpec) -> Result<Begun> {
        let (now, at, outages) = (self.now, self.elapsed(), self.outages);
        let Some(program) = spec.command.first() else {
            return Err(Error::new(ErrorKind::Invalid, operation, id, "no command"));
        };
        let container = self.enter(operation, id)?;
        let mut full = spec.clone();
        full.env = container.env.clone();
        full.env.extend(spec.env.clone());
        full.workdir = spec.workdir.clone().or_else(|| container.spec.workdir.clone());
        let begun = Begun {
            id: container.id.clone(),
            starts: container.starts,
            outages,
            now,
            program: container.programs.get(program).cloned(),
            spec: full,
        };
        let (name, labels) = (container.name.clone(), container.spec.labels.clone());
        self.execs.push(Write { at, method: "exec", name, existed: true, labels, changed: true });
        Ok(begun)
    }
}

impl FakeRuntime {
    pub(super) async fn run_exec(&self, id: &str, spec: &ExecSpec) -> Result<ExecOutput> {
        const OPERATION: &str = "run a command in container";
        let begun = self.call("exec", OPERATION, id, |world| world.begin_exec(OPERATION, id, spec)).await?;
        let give_up = spec.timeout.and_then(|timeout| begun.now.checked_add(timeout));
        let work = async {
            let Some(program) = &begun.program else {
                let place = Place {
                    env: begun.spec.env.clone(),
                    workdir: begun.spec.workdir.as_deref(),
                    stdin: begun.spec.stdin.as_deref().unwrap_or_default(),
                };
                return self.play(&begun, &script::run(&begun.spec.command, &place)).await;
            };
            // A test's program speaks to the main process, so it hangs with it.
            self.until_responsive(&begun).await?;
            Ok(program.run(&begun.spec))
        };
        let timeout = async {
            match give_up {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            result = work => result.map(bounded),
            () = timeout => Err(Error::new(ErrorKind::Timeout, OPERATION, id, "the command goes on")),
        }
    }

    /// Waits until the main process can answer, or fails with the end of the run.
    async fn until_responsive(&self, begun: &Begun) -> Result<()> {
        self.wait_for(|world| match alive(world, begun) {
            Ok(container) => container.is_responsive().then_some(Ok(())),
            Err(error) => Some(Err(error)),
        })
        .await
    }

    /// Lets a script's time pass; 137 when the container ends first.
    async fn play(&self, begun: &Begun, script: &Script) -> Result<ExecOutput> {
        let ends = begun.now.checked_add(script.ends);
        let over = async {
            match ends {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let gone = self.wait_for(|world| alive(world, begun).err());
        let mut output = ExecOutput { exit_code: script.exit_code, ..ExecOutput::default() };
        tokio::select! {
            biased;
            error = gone => match error.kind {
                ErrorKind::Unavailable => return Err(error),
                _ => output.exit_code = 137,
            },
            () = over => {}
        }
        for (_, stream, bytes) in &script.prints {
            match stream {
                StreamKind::Stdout => output.stdout.extend_from_slice(bytes),
                StreamKind::Stderr => output.stderr.extend_from_slice(bytes),
            }
        }
        if script.kills_main && output.exit_code != 137 {
            self.with(|world| world.die(&begun.id, 137));
        }
        Ok(output)
    }

    pub(super) async fn run_interactive(
        &self,
        id: &str,
        spec: &ExecSpec,
        tty: Option<TtySize>,
    ) -> Result<Interactive> {
        const OPERATION: &str = "run an interactive command in container";
        let begin = |world: &mut World| world.begin_exec(OPERATION, id, spec);
        let begun = self.call("exec_interactive", OPERATION, id, begin).await?;
        let (stdin, input) = tokio::io::duplex(1 << 16);
        let exit_code = Arc::new(AtomicI64::new(RUNNING));
        let control = Box::new(Control { exit_code: Arc::clone(&exit_code), subject: id.into() });
        let session = Session { runtime: self.clone(), begun, input, tty: tty.is_some(), exit_code };
        Ok(Interactive { stdin: Box::pin(stdin), output: session.output(), control })
    }
}

/// The container of a command that goes on; an error once its run is over.
fn alive<'a>(world: &'a World, begun: &Begun) -> Result<&'a FakeContainer> {
    const OPERATION: &str = "run a command in container";
    if world.outages != begun.outages {
        return Err(Error::new(ErrorKind::Unavailable, OPERATION, &begun.id, "connection reset"));
    }
    world
        .containers
        .get(&begun.id)
        .filter(|container| container.starts == begun.starts && container.state != ContainerState::Exited)
        .ok_or_else(|| Error::new(ErrorKind::Conflict, OPERATION, &begun.id, "the container stopped"))
}

fn bounded(mut output: ExecOutput) -> ExecOutput {
    output.truncated |= output.stdout.len().max(output.stderr.len()) > ExecOutput::LIMIT;
    output.stdout.truncate(ExecOutput::LIMIT);
    output.stderr.truncate(ExecOutput::LIMIT);
    output
}

const RUNNING: i64 = i64::MIN;

struct Control {
    exit_code: Arc<AtomicI64>,
    subject: String,
}

#[async_trait]
impl InteractiveControl for Control {
    async fn resize(&self, _size: TtySize) -> Result<()> {
        Ok(())
    }

    async fn exit_code(&self) -> Result<i64> {
        match self.exit_code.load(Ordering::Acquire) {
            RUNNING => Err(Error::new(
                ErrorKind::Conflict,
                "ask for the exit code of a command in container",
                &self.subject,
                "it still runs",
            )),
            code => Ok(code),
        }
    }
}

struct Session {
    runtime: FakeRuntime,
    begun: Begun,
    input: DuplexStream,
    tty: bool,
    exit_code: Arc<AtomicI64>,
}

impl Session {
    /// `cat` echoes as it reads; anything else reads to the end of its input when it wants it at all.
    fn output(mut self) -> BoxStream<'static, Result<(StreamKind, Vec<u8>)>> {
        let echoes = self.begun.spec.command.first().is_some_and(|program| program == "cat");
        let reads = self.begun.spec.command == ["sh"];
        if echoes {
            return stream::unfold(Some(self), |session| async move {
                let mut session = session?;
                let mut buffer = vec![0; 4096];
                let gone = session.runtime.clone();
                let read = tokio::select! {
                    biased;
                    _ = gone.wait_for(|world| alive(world, &session.begun).err()) => None,
                    read = session.input.read(&mut buffer) => Some(read.unwrap_or(0)),
                };
                // End of input, or of transmission on a terminal.
                match read {
                    Some(0) => session.exit_code.store(0, Ordering::Release),
                    Some(1) if session.tty && buffer[0] == 4 => session.exit_code.store(0, Ordering::Release),
                    Some(length) => {
                        buffer.truncate(length);
                        return Some((Ok((StreamKind::Stdout, buffer)), Some(session)));
                    }
                    None => session.exit_code.store(137, Ordering::Release),
                }
                None
            })
            .boxed();
        }
        stream::once(async move {
            let mut spec = self.begun.spec.clone();
            if reads {
                let mut text = Vec::new();
                // A broken pipe is the end of input.
                let _read = self.input.read_to_end(&mut text).await;
                spec.command = ["sh", "-c", &String::from_utf8_lossy(&text)].map(str::to_owned).to_vec();
            }
            let output = match &self.begun.program {
                Some(program) => program.run(&spec),
                None => {
                    let place =
                        Place { env: spec.env.clone(), workdir: spec.workdir.as_deref(), ..Place::default() };
                    match self.runtime.play(&self.begun, &script::run(&spec.command, &place)).await {
                        Ok(output) => output,
                        Err(error) => return vec![Err(error)],
                    }
                }
            };
            self.exit_code.store(output.exit_code, Ordering::Release);
            let error_stream = if self.tty { StreamKind::Stdout } else { StreamKind::Stderr };
            [(StreamKind::Stdout, output.stdout), (error_stream, output.stderr)]
                .into_iter()
                .filter(|(_, bytes)| !bytes.is_empty())
                .map(Ok)
                .collect::<Vec<_>>()
        })
        .flat_map(stream::iter)
        .boxed()
    }
}
