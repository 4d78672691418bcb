//! A program in a pseudo-terminal of its own: keys in, screen out, with the times.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::Result;
use crate::screen::Screen;

/// Columns and rows of the terminal.
pub(crate) const SIZE: (u16, u16) = (200, 60);

/// What was read, and when the last of it.
struct Seen {
    screen: Screen,
    at: Instant,
}

type Shared = Arc<(Mutex<Seen>, Condvar)>;

/// A running program. It is killed when this is dropped.
pub(crate) struct Pty {
    keys: File,
    child: Child,
    shared: Shared,
}

impl Pty {
    /// Starts a program.
    pub(crate) fn new(program: &Command) -> Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let size = Winsize { ws_col: SIZE.0, ws_row: SIZE.1, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size)?;
        let name = ptsname(&master, Vec::<u8>::new())?;
        let slave: OwnedFd = rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
        // Its terminal in every respect: `setsid` makes it so, and then becomes the program.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(directory) = program.get_current_dir() {
            command.current_dir(directory);
        }
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.stdin(Stdio::from(slave.try_clone()?)).stdout(Stdio::from(slave.try_clone()?)).stderr(slave);
        let child = command.spawn()?;
        drop(command);
        let screen = Screen::new(usize::from(SIZE.0), usize::from(SIZE.1));
        let shared: Shared = Arc::new((Mutex::new(Seen { screen, at: Instant::now() }), Condvar::new()));
        let (reader, to) = (File::from(master.try_clone()?), Arc::clone(&shared));
        drop(std::thread::spawn(move || read(reader, &to)));
        Ok(Self { keys: File::from(master), child, shared })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) -> Result {
        Ok(self.keys.write_all(keys.as_bytes())?)
    }

    /// Something about the screen as it is now.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Screen) -> T) -> T {
        look(&self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).screen)
    }

    /// Waits until the screen is as it should be; when what made it so had come.
    pub(crate) fn until(
        &self,
        what: &str,
        limit: Duration,
        mut is: impl FnMut(&Screen) -> bool,
    ) -> Result<Instant> {
        let deadline = Instant::now() + limit;
        let (seen, news) = &*self.shared;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if is(&seen.screen) {
                return Ok(seen.at);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("{what} is not on the screen:\n{}", seen.screen.text()).into());
            }
            seen = news.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Presses a key; how long it takes until the screen that it leads to is drawn, in milliseconds.
    pub(crate) fn latency(&mut self, key: &str, is: impl FnMut(&Screen) -> bool) -> Result<f64> {
        let began = Instant::now();
        self.press(key)?;
        let drawn = self.until(&format!("what comes of {key:?}"), Duration::from_secs(10), is)?;
        Ok(drawn.saturating_duration_since(began).as_secs_f64() * 1000.0)
    }

    /// Presses a key; how long it takes until the next drawing has ended, in milliseconds.
    pub(crate) fn frame_after(&mut self, key: &str) -> Result<f64> {
        let before = self.look(|screen| screen.frames);
        self.latency(key, move |screen| screen.frames > before)
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read(mut from: File, to: &Shared) {
    let mut bytes = vec![0; 1 << 16];
    // An error is the end of the program.
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let at = Instant::now();
        let mut seen = to.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.screen.write(bytes.get(..count).unwrap_or_default());
        seen.at = at;
        to.1.notify_all();
    }
}
