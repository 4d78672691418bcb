//! `tanuki role`: the roles there are, what they say, and new ones.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::output::Tone;
use super::render::{RoleLine, render_role, render_roles};
use super::{CliError, Context, Exit, Format, FormatArg, Output, Result, text};
use crate::agents::roles::{self, BUILT_IN, DIRECTORY, Profile, RoleError};
use crate::model::AgentSettings;

/// Arguments of `tanuki role`.
#[derive(Debug, Args)]
pub struct RoleArgs {
    #[command(subcommand)]
    command: RoleCommand,
}

#[derive(Debug, Subcommand)]
enum RoleCommand {
    /// Lists the roles.
    ///
    /// A role is put together from what comes with Tanuki, `roles:` of tanuki.yaml and .tanuki/roles/<name>.md; the last
    /// that says something wins, key by key. SOURCE is the last of them that has the role. JSON is a list of objects:
    /// role (as `role show` has it; null when it cannot be used), name, error.
    List(FormatArg),
    /// Shows what agents of a role are told, and what they get.
    ///
    /// JSON is one object: name, source, description, agent, image, model, `max_turns`, `allowed_tools`, `denied_tools`,
    /// resources, `context_files`, prompt.
    Show(ShowArgs),
    /// Writes a role file for this project, to be filled in; of a role that there is, with its prompt.
    Create(CreateArgs),
    /// Writes files of all roles that come with Tanuki, to be changed; files that are there stay.
    Init,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The role.
    name: String,
    #[command(flatten)]
    format: FormatArg,
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Name of the role.
    name: String,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

#[expect(clippy::unused_async, reason = "commands are awaited alike")]
pub(super) async fn run(context: &Context, args: &RoleArgs, out: &Output) -> Result {
    let project = context.project()?;
    let (settings, root) = (project.config.agents(), project.paths.root);
    let roles = Roles { settings, root };
    match &args.command {
        RoleCommand::List(args) => roles.list(*args, out),
        RoleCommand::Show(args) => roles.show(args, out),
        RoleCommand::Create(args) => roles.create(args, out),
        RoleCommand::Init => roles.init(out),
    }
}

/// What `role list -o json` prints of each role.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    role: Option<Profile>,
    error: Option<String>,
}

struct Roles {
    settings: AgentSettings,
    root: PathBuf,
}

impl Roles {
    fn list(&self, args: FormatArg, out: &Output) -> Result {
        let listed: Vec<Listed> = roles::list(&self.settings, &self.root)
            .map_err(|error| role_error(&error))?
            .into_iter()
            .map(|(name, found)| match found {
                Ok(profile) => Listed { name, role: Some(profile), error: None },
                Err(error) => Listed { name, role: None, error: Some(error.to_string()) },
            })
            .collect();
        if args.format == Format::Json {
            out.json(&listed)?;
            return Ok(Exit::DONE);
        }
        let lines = listed.iter().map(|listed| match (&listed.role, &listed.error) {
            (Some(profile), _) => RoleLine::Usable(profile),
            (None, error) => RoleLine::Broken(&listed.name, error.as_deref().unwrap_or_default()),
        });
        out.result(&render_roles(lines))?;
        Ok(Exit::DONE)
    }

    fn show(&self, args: &ShowArgs, out: &Output) -> Result {
        let profile = roles::resolve(Some(&args.name), &self.settings, &self.root);
        let profile = profile.map_err(|error| role_error(&error))?;
        match args.format.format {
            Format::Json => out.json(&profile)?,
            Format::Table => out.result(&render_role(&profile))?,
        }
        Ok(Exit::DONE)
    }

    fn create(&self, args: &CreateArgs, out: &Output) -> Result {
        if !roles::is_name(&args.name) {
            return Err(CliError::usage(format!(
                "'{}' cannot be the name of a role",
                text::shorten(&args.name, 80)
            ))
            .hint("use at most 63 lower case letters, digits, `_` and `-`, beginning with a letter"));
        }
        let content = match roles::resolve(Some(&args.name), &self.settings, &self.root) {
            Ok(found) if !found.prompt.is_empty() => {
                roles::starter(args.description.as_deref().unwrap_or(&found.description), &found.prompt)
            }
            _ => roles::template(&args.name, args.description.as_deref()),
        };
        if !self.write(&args.name, &content)? {
            return Err(CliError::failed(format!("{DIRECTORY}/{}.md is there already", args.name))
                .hint("edit it, or remove it first"));
        }
        out.line(&format!("Created role: {}", args.name))?;
        out.remark(Tone::Plain, &format!("edit {DIRECTORY}/{}.md", args.name));
        Ok(Exit::DONE)
    }

    fn init(&self, out: &Output) -> Result {
        for name in BUILT_IN {
            let found = roles::resolve(Some(name), &AgentSettings::default(), &PathBuf::new());
            let content = match found {
                Ok(found) => roles::starter(&found.description, &found.prompt),
                Err(_) => roles::template(name, None),
            };
            let written = if self.write(name, &content)? { "wrote" } else { "kept" };
            out.line(&format!("{written} {DIRECTORY}/{name}.md"))?;
        }
        Ok(Exit::DONE)
    }

    /// Writes a role file; false where there is one.
    fn write(&self, name: &str, content: &str) -> Result<bool> {
        let directory = self.root.join(DIRECTORY);
        let path = directory.join(format!("{name}.md"));
        let fail = |error: std::io::Error| {
            CliError::failed(format!("cannot write {}", path.display())).because(&error)
        };
        std::fs::create_dir_all(&directory).map_err(fail)?;
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => file.write_all(content.as_bytes()).map_err(fail).map(|()| true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(fail(error)),
        }
    }
}

/// A role that cannot be used.
fn role_error(error: &RoleError) -> CliError {
    match error {
        RoleError::Unknown { name, known } => {
            let error = CliError::usage(format!("no role is named '{}'", text::shorten(name, 80)));
            match text::nearest(name, known.iter().map(String::as_str)) {
                Some(nearest) => error.hint(format!("did you mean '{nearest}'?")),
                None => error.hint(format!("there are {}", known.join(", "))),
            }
        }
        RoleError::File { .. } => CliError::usage(error.to_string()).hint("mend the file, or remove it"),
        RoleError::NoAdapter { .. } => {
            CliError::usage(error.to_string()).hint("describe it under `adapters:` in tanuki.yaml")
        }
    }
}
