//! `tanuki config`: check, show and describe the configuration.

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Context, Exit, FormatArg, Output, Result, text};
use crate::config::{self, Config, ConfigError, Diagnostic, Secrets, render_all, to_yaml};

/// Arguments of `tanuki config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Says what is wrong with the configuration, with line and column.
    Check(FormatArg),
    /// Prints the values in effect.
    Show(ShowArgs),
    /// Prints the JSON Schema of tanuki.yaml, for editors.
    Schema,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Output format; with --origin the table has one value per line.
    #[arg(short = 'o', long = "output", value_enum, value_name = "FORMAT", default_value = "yaml")]
    format: ShowFormat,
    /// Says where each value comes from.
    #[arg(long)]
    origin: bool,
    /// Prints passwords and other secrets as they are.
    #[arg(long)]
    show_secrets: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ShowFormat {
    /// As in tanuki.yaml.
    #[value(alias = "table")]
    Yaml,
    /// For programs.
    Json,
}

#[expect(clippy::unused_async, reason = "commands are awaited alike")]
pub(super) async fn run(context: &Context, args: &ConfigArgs, out: &Output) -> Result {
    match &args.command {
        ConfigCommand::Check(args) => check(context, args, out),
        ConfigCommand::Show(args) => show(context, args, out),
        ConfigCommand::Schema => {
            out.json(&config::schema())?;
            Ok(Exit::DONE)
        }
    }
}

/// What `config check -o json` prints.
#[derive(Debug, Serialize)]
struct Report<'d> {
    /// Whether the configuration can be used.
    valid: bool,
    /// What is to be said of it.
    diagnostics: &'d [Diagnostic],
}

fn check(context: &Context, args: &FormatArg, out: &Output) -> Result {
    let result = load(context);
    let (valid, diagnostics) = match &result {
        Ok(config) => (true, &config.warnings),
        Err(error) => (false, &error.diagnostics),
    };
    if args.format == super::Format::Json {
        out.json(&Report { valid, diagnostics })?;
    } else {
        if !diagnostics.is_empty() {
            out.line(&render_all(diagnostics, out.is_coloured()))?;
        }
        if let Ok(config) = &result {
            out.line(&summary(config))?;
        }
    }
    Ok(if valid { Exit::DONE } else { Exit::USAGE })
}

fn summary(config: &Config) -> String {
    let names: Vec<&str> = config.services.keys().map(String::as_str).collect();
    match names.as_slice() {
        [] => "ok: no services".to_owned(),
        [one] => format!("ok: 1 service ({one})"),
        many => format!("ok: {} services ({})", many.len(), many.join(", ")),
    }
}

fn show(context: &Context, args: &ShowArgs, out: &Output) -> Result {
    let config = load(context)?;
    let secrets = if args.show_secrets { Secrets::Shown } else { Secrets::Hidden };
    match (args.format, args.origin) {
        (ShowFormat::Yaml, false) => out.result(&to_yaml(&config.to_tree(secrets)))?,
        (ShowFormat::Json, false) => out.json(&config.to_tree(secrets))?,
        (ShowFormat::Yaml, true) => out.result(&origins(&config, secrets))?,
        (ShowFormat::Json, true) => {
            let values = config.to_values(secrets).into_iter().map(|(path, value)| {
                let origin = origin(&config, &path);
                (path, json!({ "value": value, "origin": origin }))
            });
            out.json(&Value::Object(values.collect()))?;
        }
    }
    Ok(Exit::DONE)
}

/// One line per value: path, value, origin.
fn origins(config: &Config, secrets: Secrets) -> String {
    let rows = config.to_values(secrets).into_iter().map(|(path, value)| {
        let value = match value {
            Value::String(text) => text,
            value => value.to_string(),
        };
        let origin = origin(config, &path);
        [path, value, origin]
    });
    let head = ["KEY", "VALUE", "ORIGIN"].map(str::to_owned);
    text::table(std::iter::once(head).chain(rows))
}

fn origin(config: &Config, path: &str) -> String {
    config.origins.get(path).map_or_else(|| "default".to_owned(), |origin| origin.to_string())
}

fn load(context: &Context) -> std::result::Result<Config, ConfigError> {
    let paths = config::find_project(&context.start())?;
    config::load(&paths, &context.config_env(), &context.overrides())
}
