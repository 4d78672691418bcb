//! The terminal while the dashboard has it, and how it is given back whatever happens.

use std::io::{self, BufWriter, Stdout, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::clipboard::CopyToClipboard;
use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};
use tokio_util::sync::CancellationToken;

/// Whether the dashboard has the terminal. There is one terminal per process.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Bytes of drawing that go to the terminal in one go.
const BUFFER: usize = 64 * 1024;

/// The terminal. Given back when this is dropped.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn take() -> io::Result<Self> {
        // Dropped, and so given back, where the next step fails.
        let screen = Self { terminal: blank()? };
        enter()?;
        Ok(screen)
    }

    /// Gives the terminal back for a while.
    pub(super) fn leave(&mut self) {
        give_back();
    }

    /// Takes it again; everything is drawn anew.
    pub(super) fn back(&mut self) -> io::Result<()> {
        enter()?;
        self.repaint()
    }

    /// Draws everything anew the next time.
    pub(super) fn repaint(&mut self) -> io::Result<()> {
        // Not by the terminal's own means: they ask it where its cursor is, and the answer comes by way of the keys.
        execute!(io::stdout(), Clear(ClearType::All))?;
        self.terminal = blank()?;
        Ok(())
    }

    /// Its size, as columns and rows.
    pub(super) fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.terminal.size()?;
        Ok((size.width, size.height))
    }

    /// Draws what has changed.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw)?;
        Ok(())
    }

    /// Puts a text into the terminal's clipboard.
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// A terminal on which nothing is known to be drawn.
fn blank() -> io::Result<Terminal<CrosstermBackend<BufWriter<Stdout>>>> {
    Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(BUFFER, io::stdout())))
}

fn enter() -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, Hide)
}

/// Gives the terminal back; a second time does nothing. The terminal may be gone: then there is nothing to restore.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        drop(execute!(io::stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show));
        drop(io::stdout().flush());
        drop(disable_raw_mode());
    }
}

type Hook = Arc<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync>;

/// While this lives, a panic on any thread gives the terminal back before it is reported, and ends the dashboard.
pub(super) struct PanicGuard {
    before: Hook,
}

impl PanicGuard {
    /// `panicked` is cancelled by a panic.
    pub(super) fn new(panicked: CancellationToken) -> Self {
        let before: Hook = Arc::from(std::panic::take_hook());
        let report = Arc::clone(&before);
        std::panic::set_hook(Box::new(move |info| {
            give_back();
            report(info);
            panicked.cancel();
        }));
        Self { before }
    }
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        // A hook cannot be changed by a thread that panics; the process ends then anyway.
        if !std::thread::panicking() {
            let before = Arc::clone(&self.before);
            std::panic::set_hook(Box::new(move |info| before(info)));
        }
    }
}
