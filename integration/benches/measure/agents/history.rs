//! `spawn` in a repository with a large history, against one that has the same files and no history.

use super::project;
use crate::Result;
use crate::table::Row;
use crate::tools::Tools;

const FILES: usize = 100;
const COMMITS: u64 = 20;
/// In all 2 GB.
const BYTES: u64 = 100_000_000;

/// Makes agents in both, in turn.
pub(crate) fn measure(tools: &Tools) -> Result<Vec<Row>> {
    let small = project(tools, FILES, |_| Ok(()))?;
    let large = project(tools, FILES, |import| import.history(COMMITS, BYTES))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..tools.rounds {
        let name = format!("agent-{round}");
        ours.push(large.timed(&["spawn", &name])?);
        theirs.push(small.timed(&["spawn", &name])?);
    }
    let what = format!("`spawn` in a repository with {} GB of history", COMMITS * BYTES / 1_000_000_000);
    Ok(vec![Row::ratio(&what, &ours, "the same with none", &theirs, 1.2)])
}
