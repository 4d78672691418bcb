//! `tanuki project init`: a sample task.

use std::io::Write as _;
use std::path::{Component, Path};

use clap::Args;

use crate::cli::output::Tone;
use crate::cli::{CliError, Context, Exit, Output, Result};

/// The sample.
const SAMPLE: &str = include_str!("sample.md");

/// Arguments of `tanuki project init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Subfolder of the tasks' directory to make it in.
    #[arg(value_name = "PROJECT")]
    pub project: Option<String>,
}

pub(super) fn run(context: &Context, args: &InitArgs, out: &Output) -> Result {
    let project = context.project()?;
    let mut directory = project.paths.root.join(&project.config.tasks_dir);
    if let Some(name) = &args.project {
        let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || name.starts_with('.') {
            return Err(CliError::usage(format!("'{name}' cannot be the name of a subfolder"))
                .hint("use a plain name, as shop"));
        }
        directory.push(name);
    }
    let failed = |error: &std::io::Error| {
        CliError::failed(format!("cannot write a task to {}", directory.display())).because(error)
    };
    std::fs::create_dir_all(&directory).map_err(|error| failed(&error))?;
    let path = directory.join("example.md");
    let id = match &args.project {
        Some(name) => format!("{}-example", name.replace('/', "-")),
        None => "example".to_owned(),
    };
    let text = SAMPLE.replacen("id: example", &format!("id: {id}"), 1);
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    let shown = path.strip_prefix(&project.paths.root).unwrap_or(&path).display();
    match made {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).map_err(|error| failed(&error))?;
            out.line(&format!("wrote {shown}"))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            out.line(&format!("kept {shown} as it is"))?;
        }
        Err(error) => return Err(failed(&error)),
    }
    out.remark(
        Tone::Plain,
        "edit it, add others beside it, then `tanuki project start --dry-run` shows the plan",
    );
    Ok(Exit::DONE)
}
