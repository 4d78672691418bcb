//! `tanuki init`: a project in this directory.

use clap::Args;
use tanuki_runtimes::discover;

use super::output::Tone;
use super::{CliError, Context, Output, Result};
use crate::config::starter::{self, ConfigFile, InitError, Initialized};

/// Arguments of `tanuki init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Replaces an existing tanuki.yaml; the old one is kept as tanuki.yaml.bak-1.
    #[arg(long)]
    pub force: bool,
}

pub(super) async fn run(context: &Context, args: &InitArgs, out: &Output) -> Result {
    let done = initialize(context, args.force).map_err(|error| init_error(&error))?;
    out.line("Initialized .tanuki/")?;
    remarks(&done, out);
    engine(context, &done, out).await;
    Ok(super::Exit::DONE)
}

/// A directory that is named is meant; otherwise it is the repository's, or the project that is there already.
fn initialize(context: &Context, force: bool) -> std::result::Result<Initialized, InitError> {
    let directory = match &context.global.project {
        Some(directory) => context.env.cwd.join(directory),
        None => starter::directory(&context.env.cwd)?,
    };
    starter::create(&directory, force)
}

fn remarks(done: &Initialized, out: &Output) {
    let path = done.paths.config_file.display();
    match &done.config {
        ConfigFile::Written => out.remark(Tone::Plain, &format!("wrote {path}")),
        ConfigFile::Kept => out.remark(Tone::Plain, &format!("kept {path} as it is")),
        ConfigFile::Replaced { backup } => {
            out.remark(Tone::Plain, &format!("wrote {path}; the old one is now {}", backup.display()));
        }
    }
}

/// Says which engine there is. None is no failure: the next command that needs one says more.
async fn engine(context: &Context, done: &Initialized, out: &Output) {
    // The file may be somebody's own, and wrong.
    let runtime = match context.load(done.paths.clone()) {
        Ok(project) => project.config.runtime,
        Err(error) => {
            out.warning(&format!("{}: {}", done.paths.config_file.display(), error.message));
            out.remark(Tone::Plain, "run `tanuki config check` for everything that is wrong with it");
            return;
        }
    };
    match discover::connect(&context.discover_env(), &super::context::preference(&runtime)).await {
        Ok(runtime) => match runtime.info().await {
            Ok(info) => out.remark(Tone::Plain, &format!("engine: {} {}", info.kind, info.version)),
            Err(error) => out.warning(&format!("the container engine does not answer: {error}")),
        },
        Err(_) => out.warning("no container engine found; `tanuki doctor` says what was tried"),
    }
}

fn init_error(error: &InitError) -> CliError {
    let message = CliError::usage(error.to_string());
    match error {
        InitError::NoRepository(_) => message.hint("run `git init`, then `tanuki init` again"),
        InitError::Io { source, .. } => CliError::failed(error.to_string()).because(source),
    }
}
