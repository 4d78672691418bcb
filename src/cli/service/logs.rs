//! `tanuki service logs`: a service's output, straight from the engine.

use clap::Args;
use tanuki_runtimes::LogLine;
use tokio::sync::mpsc;

use crate::cli::since::Since;
use crate::cli::{CliError, Context, Exit, Output, Result, terminal, text};
use crate::services::output::{self, End, Wanted};

/// Lines that may wait to be printed.
const QUEUE: usize = 256;

/// Arguments of `tanuki service logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Service whose output to show.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Goes on as output comes, also when the container is restarted or replaced; Ctrl-C ends it with exit code 130.
    #[arg(short, long)]
    pub follow: bool,
    /// Shows only the last N lines of what is there.
    #[arg(short = 'n', long = "tail", value_name = "N")]
    pub tail: Option<u64>,
    /// Shows only what was written since then: a duration like 10m, or a time like 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "WHEN", value_parser = Since::parse)]
    pub since: Option<Since>,
    /// Begins each line with the time it was written.
    #[arg(short, long)]
    pub timestamps: bool,
}

pub(super) async fn run(context: &Context, args: &LogsArgs, out: &Output) -> Result {
    let project = context.project_with_service(&args.name)?;
    let engine = context.engine(&project).await?;
    let labels = output::labels(&project.paths.id(), &args.name);
    let wanted = Wanted { follow: args.follow, tail: args.tail, since: args.since.map(Since::time) };
    let raw = !out.is_terminal();
    let (sender, mut lines) = mpsc::channel(QUEUE);
    let reading = async move { output::read(&engine, &labels, &wanted, &sender).await };
    let showing = async move {
        while let Some(line) = lines.recv().await {
            out.bytes(&render(&line, args.timestamps, raw))?;
        }
        Ok::<(), CliError>(())
    };
    let end = tokio::select! {
        biased;
        (end, shown) = async { tokio::join!(reading, showing) } => {
            shown?;
            end?
        }
        () = terminal::nobody_reads() => End::Done,
    };
    match end {
        End::Done => Ok(Exit::DONE),
        End::NoContainer => Err(CliError::failed(format!("service '{}' has no container", args.name))
            .cause("it was not started yet, or everything was taken down")
            .hint(format!("`tanuki service start {}` starts it", args.name))),
    }
}

/// A line as it is printed. Raw bytes where a program reads them; a terminal only gets what cannot harm it.
fn render(line: &LogLine, timestamps: bool, raw: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(line.bytes.len() + 1);
    if let (true, Some(time)) = (timestamps, line.time) {
        bytes.extend(format!("{} ", humantime::format_rfc3339_nanos(time)).into_bytes());
    }
    if raw {
        bytes.extend(&line.bytes);
    } else {
        bytes.extend(text::log_line(&String::from_utf8_lossy(&line.bytes)).into_bytes());
    }
    bytes.push(b'\n');
    bytes
}
