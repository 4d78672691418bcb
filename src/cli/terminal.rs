//! The user's terminal in raw mode, and a program in a container connected to it.
//!
//! Raw mode is undone when [`RawMode`] is dropped: on return, error, panic and the signals that would end the process.

use std::io::{self, IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;
use std::pin::pin;

use futures_util::StreamExt as _;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tanuki_runtimes::{ContainerRuntime, ExecSpec, Interactive, StreamKind, TtySize};
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::{CliError, Exit, Output, Result};

/// What a terminal that does not tell its size is taken for.
const USUAL_SIZE: TtySize = TtySize { columns: 80, rows: 24 };

/// Pieces of input that may wait for the program to read them.
const INPUT_QUEUE: usize = 16;

/// Undoes what a full-screen program does to a terminal and did not get to undo: other screen, hidden cursor, colours,
/// pasting in brackets, mouse, keys that send something else.
const AS_USUAL: &[u8] =
    b"\x1b[?1047l\x1b[?25h\x1b[0m\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1l\x1b>";

/// A terminal that hands every key to the program, until this is dropped.
#[derive(Debug)]
pub(super) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Switches the terminal on standard input.
    ///
    /// # Errors
    ///
    /// Standard input is not a terminal, or no longer there.
    pub(super) fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to restore.
        _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Whether a person sits at both ends, so that a program can have a terminal of its own.
pub(super) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The size of the terminal, where there is one.
pub(super) fn size() -> Option<TtySize> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some(TtySize { columns: size.ws_col, rows: size.ws_row })
}

/// Waits until nobody reads standard output any more: a pipe whose other end is closed. A program that waits for
/// something to print would not notice otherwise. Never ends where that cannot be told.
pub(super) async fn nobody_reads() {
    let watch = || {
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        // Only watched, never written to: its mode must stay as it is. A file cannot be watched, and needs not to be.
        pipe::Sender::from_owned_fd_unchecked(stdout)
    };
    let Ok(stdout) = watch() else { return std::future::pending().await };
    if stdout.ready(Interest::ERROR).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Runs a program in a container on the process's streams, until it ends; returns its exit code. With `tty` it has a
/// terminal of its own, of the size of the user's.
///
/// # Errors
///
/// The program could not be started; and as [`connect`].
pub(super) async fn exec(
    engine: &dyn ContainerRuntime,
    container: &str,
    command: &ExecSpec,
    tty: bool,
    out: &Output,
) -> Result {
    let size = tty.then(|| size().unwrap_or(USUAL_SIZE));
    let program = engine.exec_interactive(container, command, size).await?;
    connect(program, tty, out).await
}

/// Connects the process's streams to a program that runs in a container, until it ends; returns its exit code.
///
/// With `tty` the user's terminal is in raw mode meanwhile, and the program's follows its size. Without one, the end
/// of standard input is passed on, and the two output streams stay apart.
///
/// # Errors
///
/// The connection broke, or nobody reads the output.
pub(super) async fn connect(program: Interactive, tty: bool, out: &Output) -> Result {
    let failed =
        |what: &str, error: &(dyn std::error::Error + 'static)| CliError::failed(what).because(error);
    let mut signals = Signals::new(tty).map_err(|error| failed("cannot listen to signals", &error))?;
    let raw = if tty {
        Some(RawMode::enter().map_err(|error| failed("cannot use the terminal", &error))?)
    } else {
        None
    };
    let Interactive { stdin, mut output, control } = program;
    if let (true, Some(size)) = (tty, size()) {
        // It may have changed since the program was started.
        drop(control.resize(size).await);
    }
    let mut input = pin!(forward_input(stdin));
    let mut input_open = true;
    loop {
        tokio::select! {
            biased;
            event = signals.next() => match event {
                Event::Resized => if let Some(size) = size() {
                    drop(control.resize(size).await);
                },
                Event::End(number) => {
                    if tty {
                        out.bytes(AS_USUAL)?;
                    }
                    return Ok(Exit(128 + number));
                }
            },
            piece = output.next() => match piece {
                Some(Ok((StreamKind::Stdout, bytes))) => out.bytes(&bytes)?,
                Some(Ok((StreamKind::Stderr, bytes))) => out.error_bytes(&bytes)?,
                Some(Err(error)) => {
                    drop(raw);
                    if tty {
                        out.bytes(AS_USUAL)?;
                    }
                    return Err(failed("the connection to the container broke off", &error));
                }
                None => break,
            },
            () = &mut input, if input_open => input_open = false,
        }
    }
    drop(raw);
    let code =
        control.exit_code().await.map_err(|error| failed("cannot tell how the program ended", &error))?;
    if tty && code >= 128 {
        // Killed, maybe with what it ran.
        out.bytes(AS_USUAL)?;
    }
    // The low byte, as a shell would have it.
    Ok(Exit(u8::try_from(code & 0xff).unwrap_or(u8::MAX)))
}

/// Passes standard input on; at its end the program's is shut down.
async fn forward_input(mut stdin: std::pin::Pin<Box<dyn tokio::io::AsyncWrite + Send>>) {
    let mut pieces = read_stdin();
    while let Some(piece) = pieces.recv().await {
        // A program that reads no more is free to; its output and exit code still count.
        if stdin.write_all(&piece).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
    drop(stdin.shutdown().await);
}

/// Reads standard input on a thread of its own. A read cannot be cancelled: the thread ends with the process, where
/// the runtime's own would keep it waiting for another key.
fn read_stdin() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(INPUT_QUEUE);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match io::stdin().lock().read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => {
                    let piece = buffer.get(..count).unwrap_or_default().to_vec();
                    if sender.blocking_send(piece).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    receiver
}

enum Event {
    Resized,
    End(u8),
}

/// Signals that matter while a program is connected. Without a terminal they keep their usual effect.
struct Signals(Option<Listening>);

struct Listening {
    resized: Signal,
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new(tty: bool) -> io::Result<Self> {
        if !tty {
            return Ok(Self(None));
        }
        Ok(Self(Some(Listening {
            resized: signal(SignalKind::window_change())?,
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })))
    }

    async fn next(&mut self) -> Event {
        let Some(signals) = &mut self.0 else { return std::future::pending().await };
        tokio::select! {
            biased;
            _ = signals.terminate.recv() => Event::End(15),
            _ = signals.hangup.recv() => Event::End(1),
            _ = signals.interrupt.recv() => Event::End(2),
            _ = signals.resized.recv() => Event::Resized,
        }
    }
}
