//! Images of the fake engine, and how the programs in them behave.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{ExecOutput, ExecSpec};

/// A program that a test puts into an image: gets the command (with the container's environment merged in) and
/// says how it ended.
#[derive(Clone)]
pub struct Program(Arc<dyn Fn(&ExecSpec) -> ExecOutput + Send + Sync>);

impl Program {
    /// A program that runs `body`.
    pub fn new(body: impl Fn(&ExecSpec) -> ExecOutput + Send + Sync + 'static) -> Self {
        Self(Arc::new(body))
    }

    /// A program that prints `stdout` and ends with `exit_code`.
    pub fn fixed(exit_code: i64, stdout: &str) -> Self {
        let output = ExecOutput { exit_code, stdout: stdout.as_bytes().to_vec(), ..ExecOutput::default() };
        Self::new(move |_| output.clone())
    }

    pub(super) fn run(&self, spec: &ExecSpec) -> ExecOutput {
        (self.0)(spec)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}

/// How a container's main process behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// From the start until probes succeed; never when absent.
    pub boot: Option<Duration>,
    /// From the start until it ends by itself.
    pub dies_after: Option<Duration>,
    /// How it ends then.
    pub exit_code: i64,
    /// It goes on when asked to end.
    pub ignores_term: bool,
    /// From the request to end until it ended.
    pub term_delay: Duration,
    /// What it prints at each start.
    pub log_lines: Vec<String>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            boot: Some(Duration::from_millis(300)),
            dies_after: None,
            exit_code: 0,
            ignores_term: false,
            term_delay: Duration::from_millis(20),
            log_lines: vec!["ready".into()],
        }
    }
}

/// An image of the fake engine.
#[derive(Debug, Clone, Default)]
pub struct FakeImage {
    /// Ports it says it listens on.
    pub exposed_ports: Vec<u16>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// What its main process does, unless the container's command is one the engine understands.
    pub behaviour: Behaviour,
    /// What can be run in it by exec beside the engine's own few commands.
    pub programs: BTreeMap<String, Program>,
    /// How long a pull of it takes.
    pub pull_time: Duration,
}

impl FakeImage {
    /// An image that is healthy after `boot`.
    pub fn booting(boot: Duration) -> Self {
        Self::behaving(Behaviour { boot: Some(boot), ..Behaviour::default() })
    }

    /// An image that runs but whose probes never succeed.
    pub fn never_healthy() -> Self {
        Self::behaving(Behaviour { boot: None, ..Behaviour::default() })
    }

    /// An image whose process ends by itself, every time.
    pub fn dying(after: Duration, exit_code: i64) -> Self {
        Self::behaving(Behaviour { dies_after: Some(after), exit_code, ..Behaviour::default() })
    }

    /// An image with this behaviour.
    pub fn behaving(behaviour: Behaviour) -> Self {
        Self { behaviour, ..Self::default() }
    }

    /// With a port it listens on.
    #[must_use]
    pub fn exposing(mut self, port: u16) -> Self {
        self.exposed_ports.push(port);
        self
    }

    /// With a program that exec finds.
    #[must_use]
    pub fn with_program(mut self, name: &str, program: Program) -> Self {
        self.programs.insert(name.into(), program);
        self
    }
}

/// The reference with its tag spelled out.
pub(super) fn normal(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if last.contains(':') || last.contains('@') { reference.into() } else { format!("{reference}:latest") }
}
