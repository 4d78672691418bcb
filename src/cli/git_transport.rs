//! `tanuki git-transport`: connects git on the host to git in an agent's container. `git fetch` starts it; nobody
//! types it.
//!
//! The other side of the connection is the agent's: what comes from it is only passed on.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use tanuki_runtimes::{ExecSpec, discover};

use super::{Context, Output, Result, engine_error, terminal};

/// Arguments of `tanuki git-transport`. They tell where, never with what.
#[derive(Debug, Args)]
pub struct GitTransportArgs {
    /// Kind of the engine.
    #[arg(value_enum, value_name = "ENGINE")]
    pub engine: Engine,
    /// Where the engine is reached.
    #[arg(value_name = "ENDPOINT")]
    pub endpoint: String,
    /// Container.
    #[arg(value_name = "CONTAINER")]
    pub container: String,
    /// User in the container, as `uid:gid`.
    #[arg(value_name = "USER")]
    pub user: Option<String>,
    /// Git directory in the container.
    #[arg(long, value_name = "DIR", default_value = "/workspace/.git")]
    pub dir: String,
}

/// Kinds of engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

pub(super) async fn run(context: &Context, args: &GitTransportArgs, out: &Output) -> Result {
    let runtime = match args.engine {
        Engine::Docker => discover::Runtime::Docker,
        Engine::Podman => discover::Runtime::Podman,
    };
    let preference = discover::Preference { runtime, socket: Some(args.endpoint.clone()) };
    let engine = discover::connect(&context.discover_env(), &preference)
        .await
        .map_err(|error| engine_error(&error))?;
    terminal::exec(engine.as_ref(), &args.container, &command(args), false, out).await
}

/// `git upload-pack`, with no configuration but the repository's own, and without asking whose files they are.
fn command(args: &GitTransportArgs) -> ExecSpec {
    let env = [
        ("GIT_PROTOCOL", "version=2"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_COUNT", "2"),
        ("GIT_CONFIG_KEY_0", "safe.directory"),
        ("GIT_CONFIG_VALUE_0", "*"),
        ("GIT_CONFIG_KEY_1", "core.hooksPath"),
        ("GIT_CONFIG_VALUE_1", "/dev/null"),
    ];
    ExecSpec {
        command: ["git", "upload-pack", "--strict", &args.dir].map(ToOwned::to_owned).to_vec(),
        env: env
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        user: args.user.clone(),
        ..ExecSpec::default()
    }
}
