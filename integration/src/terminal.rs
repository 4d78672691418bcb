//! A terminal to type into: a tmux session of the test's own.

use std::path::PathBuf;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::command::{self, Outcome};
use crate::engines::Owner;
use crate::project::Project;

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A terminal of a known size with one shell in it. Ends when it is dropped.
#[derive(Debug)]
pub struct Terminal {
    socket: PathBuf,
    owner: Option<Owner>,
}

impl Terminal {
    /// A shell in a project, as its owner and with the variables of its commands.
    pub async fn new(project: &Project) -> Self {
        let terminal = Self { socket: project.base().join("tmux"), owner: project.owner };
        let mut words = vec!["env".to_owned(), "-i".to_owned(), "TERM=screen-256color".to_owned()];
        words.extend(project.env.iter().map(|(key, value)| format!("{key}={value}")));
        words.extend(["PS1=ready$ ", "bash", "--norc", "--noprofile"].map(ToOwned::to_owned));
        let quoted: Vec<String> =
            words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
        let shell = quoted.join(" ");
        let directory = project.root.display().to_string();
        let args = [
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "100",
            "-y",
            "30",
            "-c",
            &directory,
            shell.as_str(),
        ];
        let _started = terminal.tmux(&args).await.ok();
        let _prompt = terminal.until("the prompt", |screen| screen.contains("ready$")).await;
        terminal
    }

    /// Types a line and ends it with Enter.
    pub async fn line(&self, text: &str) {
        // A last semicolon would end tmux's own command.
        let text = text.strip_suffix(';').map_or_else(|| text.to_owned(), |text| format!("{text}\\;"));
        let _typed = self.tmux(&["send-keys", "-l", "--", &text]).await.ok();
        self.key("Enter").await;
    }

    /// Presses a key, as tmux calls it: `C-c`, `Enter`.
    pub async fn key(&self, key: &str) {
        let _typed = self.tmux(&["send-keys", key]).await.ok();
    }

    /// Changes the size.
    pub async fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let _resized = self.tmux(&["resize-window", "-x", &columns, "-y", &rows]).await.ok();
    }

    /// What is on the screen, with escape sequences for colours when asked for.
    pub async fn screen(&self, colours: bool) -> String {
        let args: &[&str] = if colours { &["capture-pane", "-p", "-e"] } else { &["capture-pane", "-p"] };
        self.tmux(args).await.ok().stdout
    }

    /// Waits until the screen is as it should be, and returns it.
    pub async fn until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen(false).await;
            if is(&screen) {
                return screen;
            }
            assert!(Instant::now() < deadline, "{what} is not on the screen:\n{screen}");
            sleep(POLL).await;
        }
    }

    async fn tmux(&self, args: &[&str]) -> Outcome {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&self.socket).args(args).current_dir("/").env_remove("TMUX");
        if let Some(owner) = self.owner {
            tmux.uid(owner.uid).gid(owner.gid);
        }
        command::run(tmux, None, PATIENCE).await
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut tmux = std::process::Command::new("tmux");
        tmux.arg("-S").arg(&self.socket).arg("kill-server").current_dir("/");
        if let Some(owner) = self.owner {
            std::os::unix::process::CommandExt::gid(&mut tmux, owner.gid);
            std::os::unix::process::CommandExt::uid(&mut tmux, owner.uid);
        }
        tmux.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        // Gone already is as good.
        let _ended = tmux.status();
    }
}
