//! `tanuki spawn`: an agent with a branch, a workspace and a container of its own.

use clap::Args;

use super::{ask, snapshot_where};
use crate::cli::output::Tone;
use crate::cli::{CliError, Context, Exit, Output, Result, text};
use crate::model::{Request, Spawn, check_agent_name};

/// Arguments of `tanuki spawn`.
#[derive(Debug, Args)]
pub struct SpawnArgs {
    /// Its name: 2 to 63 lower case letters, digits and hyphens; one is chosen when left out.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Makes so many agents; names that are not given are chosen.
    #[arg(short = 'n', long = "count", value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub count: u32,
    /// Role of the agent; `tanuki role list` shows them.
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Workstream whose tasks it is for.
    #[arg(long, value_name = "WORKSTREAM")]
    pub workstream: Option<String>,
    /// Branch, tag or commit it begins from, instead of the branch that is checked out.
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,
    /// Agent CLI, by the name of its adapter: claude, codex, gemini, opencode, or one of tanuki.yaml.
    #[arg(long, value_name = "CLI")]
    pub agent: Option<String>,
    /// Image of its container.
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Model, as the agent CLI names it.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
}

pub(in crate::cli) async fn run(context: &Context, args: &SpawnArgs, out: &Output) -> Result {
    if let Some(name) = &args.name {
        check_agent_name(name).map_err(|why| {
            CliError::usage(format!("'{}' cannot be an agent's name", text::shorten(name, 80))).cause(why)
        })?;
    }
    let project = context.project()?;
    Context::warn(&project, out);
    let request = Request::Spawn(Box::new(Spawn {
        names: args.name.iter().cloned().collect(),
        count: args.count,
        role: args.role.clone(),
        workstream: args.workstream.clone(),
        base: args.base.clone(),
        agent: args.agent.clone(),
        image: args.image.clone(),
        model: args.model.clone(),
    }));
    let doing = match (&args.name, args.count) {
        (Some(name), 1) => format!("making agent {name}"),
        (_, 1) => "making an agent".to_owned(),
        (_, count) => format!("making {count} agents"),
    };
    let (session, accepted) = ask(context, &project, &request, &doing, out).await?;
    let there = |name: &String, agents: &std::collections::BTreeMap<_, _>| agents.contains_key(name);
    let snapshot =
        snapshot_where(&session, |snapshot| accepted.agents.iter().all(|name| there(name, &snapshot.agents)))
            .await;
    session.finish().await;
    let made = accepted.agents.iter().map(|name| match snapshot.agents.get(name) {
        Some(agent) => format!(
            "Created agent: {}\nBranch: {}\nContainer: {}\n",
            text::one_line(name),
            text::one_line(&agent.branch),
            text::one_line(&agent.container)
        ),
        None => format!("Created agent: {}\n", text::one_line(name)),
    });
    out.result(&made.collect::<Vec<_>>().join("\n"))?;
    if let [name, ..] = accepted.agents.as_slice()
        && out.is_terminal()
    {
        out.remark(Tone::Faint, &format!("give it something to do: tanuki run {name} \"…\""));
    }
    Ok(Exit::DONE)
}
