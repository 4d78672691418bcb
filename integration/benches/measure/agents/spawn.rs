//! `spawn` in a repository with many files, against a worktree and a container of the same image.

use super::{Container, project};
use crate::Result;
use crate::table::Row;
use crate::tools::{Tools, timed};

const FILES: usize = 10_000;

/// Makes an agent and its like, in turn.
pub(crate) fn measure(tools: &Tools) -> Result<Vec<Row>> {
    let project = project(tools, FILES, |_| Ok(()))?;
    let (mut ours, mut theirs, mut checkouts) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..tools.rounds {
        ours.push(project.timed(&["spawn", &format!("agent-{round}")])?);
        let (name, tree) = (format!("tanuki-bench-{round}"), project.beside(&format!("tree-{round}")));
        let container = Container::new(tools, &name);
        let mut worktree = project.git(&["worktree", "add", "--quiet", "-b", &name]);
        let checkout = timed(worktree.arg(&tree))?;
        theirs.push(checkout + timed(&mut container.run(Some(&tree), &["sleep", "infinity"]))?);
        checkouts.push(checkout);
    }
    let what = format!("`spawn` in a repository with {FILES} files");
    let mut row = Row::ratio(&what, &ours, "`git worktree add` and `docker run`", &theirs, 1.2);
    row.theirs.push_str(&format!(", of which {:.3} s the worktree", crate::table::median(&checkouts)));
    Ok(vec![row])
}
