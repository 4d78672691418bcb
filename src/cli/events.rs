//! `tanuki events`: what happened and why, newest last.

use std::sync::Arc;

use clap::Args;
use jiff::tz::TimeZone;
use tokio::sync::watch;

use super::args::{Format, FormatArg};
use super::context::existing_store;
use super::output::Tone;
use super::render::render_event;
use super::{CliError, Context, Exit, Output, Result, terminal};
use crate::model::{EventRecord, Snapshot};

/// Arguments of `tanuki events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Goes on as things happen; Ctrl-C ends it with exit code 130.
    #[arg(short, long)]
    pub follow: bool,
    /// Shows only the last N events.
    #[arg(short = 'n', long = "tail", value_name = "N", default_value = "100")]
    pub tail: u32,
    /// Output format; JSON is one object per line.
    #[command(flatten)]
    pub format: FormatArg,
}

pub(super) async fn run(context: &Context, args: &EventsArgs, out: &Output) -> Result {
    let paths = context.paths()?;
    // What is printed must not be printed again: connect first, then read the past.
    let session =
        if args.follow { Some(context.controller(&context.load(paths.clone())?).await?) } else { None };
    let past = match existing_store(&paths)? {
        Some(store) => store
            .events(args.tail)
            .map_err(|error| CliError::failed("cannot read the project's events").because(&error))?,
        None => Vec::new(),
    };
    let mut printer = Printer::new(out, args.format.format);
    printer.print(&past)?;
    if let Some(session) = session {
        let mut snapshots = session.snapshots();
        let result = tokio::select! {
            biased;
            result = printer.follow(&mut snapshots) => result,
            () = terminal::nobody_reads() => Ok(()),
        };
        session.finish().await;
        result?;
        out.remark(Tone::Faint, "the controller ended; the next command starts another one");
    }
    Ok(Exit::DONE)
}

/// Prints events, each once per time it happened.
#[derive(Debug)]
pub(super) struct Printer<'a> {
    out: &'a Output,
    format: Format,
    zone: TimeZone,
    newest: i64,
    counts: std::collections::BTreeMap<i64, u32>,
}

impl<'a> Printer<'a> {
    pub(super) fn new(out: &'a Output, format: Format) -> Self {
        Self { out, format, zone: TimeZone::system(), newest: 0, counts: Default::default() }
    }

    /// Takes events as known without printing them.
    pub(super) fn skip(&mut self, events: &[EventRecord]) {
        for event in events {
            self.note(event);
        }
    }

    /// Prints those that were not printed, or happened again since.
    pub(super) fn print(&mut self, events: &[EventRecord]) -> Result<()> {
        for event in events {
            if self.note(event) {
                match self.format {
                    Format::Table => self.out.line(&render_event(event, &self.zone))?,
                    Format::Json => self.out.json_line(event)?,
                }
            }
        }
        Ok(())
    }

    /// Prints events as they happen, until the controller is gone.
    pub(super) async fn follow(&mut self, snapshots: &mut watch::Receiver<Arc<Snapshot>>) -> Result<()> {
        loop {
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            self.print(&snapshot.events)?;
            if snapshots.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    /// Whether this is news.
    fn note(&mut self, event: &EventRecord) -> bool {
        let known = self.counts.insert(event.id, event.count);
        let news = match known {
            Some(count) => event.count > count,
            // Older than what was shown, and not among it: left out on purpose.
            None => event.id > self.newest,
        };
        self.newest = self.newest.max(event.id);
        news
    }
}
