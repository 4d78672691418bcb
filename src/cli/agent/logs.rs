//! `tanuki logs`: what agents said and did.

use clap::Args;

use super::snapshot_where;
use crate::cli::args::{Format, FormatArg};
use crate::cli::render::render_line;
use crate::cli::since::Since;
use crate::cli::{CliError, Context, Exit, Output, Result, terminal, text};
use crate::model::{LogQuery, OutputLine, Snapshot, Time};

/// Lines that are written in one go where so many are there: a write for each would be most of the work.
const AT_ONCE: usize = 256;

/// Arguments of `tanuki logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Agent whose output to show; may be left out where there is only one.
    #[arg(value_name = "AGENT")]
    pub agent: Option<String>,
    /// Goes on as output comes, from run to run; Ctrl-C ends it with exit code 130.
    #[arg(short, long)]
    pub follow: bool,
    /// Shows only the last N lines of what is there.
    #[arg(short = 'n', long = "tail", value_name = "N")]
    pub tail: Option<u32>,
    /// Shows only what was written since then: a duration like 10m, or a time like 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "WHEN", value_parser = Since::parse)]
    pub since: Option<Since>,
    /// Shows this run only, by its id.
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    pub run: Option<String>,
    /// Shows the agent CLI's own output, usually JSON, instead of readable lines.
    #[arg(long, conflicts_with = "format")]
    pub raw: bool,
    /// Shows all agents, each line with whose it is.
    #[arg(long, conflicts_with = "agent")]
    pub all: bool,
    /// Output format; JSON is one object per line.
    #[command(flatten)]
    pub format: FormatArg,
}

pub(in crate::cli) async fn run(context: &Context, args: &LogsArgs, out: &Output) -> Result {
    let project = context.project()?;
    let session = context.controller(&project).await?;
    let snapshot = snapshot_where(&session, |snapshot| snapshot.observed_at.is_some()).await;
    let agents = match agents(args, &snapshot) {
        Ok(agents) => agents,
        Err(error) => {
            session.finish().await;
            return Err(error);
        }
    };
    let width = args.all.then(|| agents.iter().map(String::len).max().unwrap_or_default());
    let query = LogQuery {
        agents,
        service: None,
        run: args.run.clone(),
        follow: args.follow,
        tail: args.tail,
        since: args.since.map(|since| Time::from(since.time())),
        raw: args.raw,
    };
    let mut lines = session.handle().logs(query);
    let show = async {
        let mut taken = Vec::new();
        while lines.recv_many(&mut taken, AT_ONCE).await > 0 {
            let mut text = String::new();
            for line in taken.drain(..) {
                text.push_str(&shown(&line, args, width, out)?);
                text.push('\n');
            }
            out.result(&text)?;
        }
        Ok(())
    };
    let shown: Result<()> = tokio::select! {
        biased;
        shown = show => shown,
        () = terminal::nobody_reads() => Ok(()),
    };
    session.finish().await;
    shown?;
    Ok(Exit::DONE)
}

fn shown(line: &OutputLine, args: &LogsArgs, width: Option<usize>, out: &Output) -> Result<String> {
    Ok(match args.format.format {
        Format::Json => serde_json::to_string(line)
            .map_err(|error| CliError::failed("cannot write JSON").because(&error))?,
        Format::Table if args.raw && out.is_terminal() => text::log_line(&line.text),
        Format::Table if args.raw => line.text.clone(),
        Format::Table => {
            let (tone, line) = render_line(line, width);
            out.paint(tone, &line)
        }
    })
}

/// Whose output is meant.
fn agents(args: &LogsArgs, snapshot: &Snapshot) -> Result<Vec<String>> {
    let known = || snapshot.agents.keys().map(String::as_str);
    match (&args.agent, args.all) {
        (Some(name), _) if snapshot.agents.contains_key(name) => Ok(vec![name.clone()]),
        (Some(name), _) => Err(CliError::unknown_agent(name, known())),
        (None, true) => Ok(known().map(ToOwned::to_owned).collect()),
        (None, false) => match snapshot.agents.keys().collect::<Vec<_>>().as_slice() {
            [only] => Ok(vec![(*only).clone()]),
            [] => Err(CliError::usage("there are no agents").hint("`tanuki spawn <name>` makes one")),
            _ => Err(CliError::usage("there are several agents; whose output is meant?")
                .hint(format!("name one of {}, or use --all", known().collect::<Vec<_>>().join(", ")))),
        },
    }
}
