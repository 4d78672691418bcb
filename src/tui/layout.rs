//! Where everything is on the screen: a function of its size and of what there is to show.

use ratatui::layout::Rect;

use super::state::{Pane, State};
use crate::model::Snapshot;

/// Smaller than this, nothing useful can be shown.
const FLOOR: (u16, u16) = (24, 6);

/// Rows of a pane's heading.
pub(super) const HEADING: u16 = 2;

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// What the project is.
    pub header: Rect,
    /// The panes that are shown.
    pub panes: Vec<(Pane, Rect)>,
    /// Columns between panes.
    pub gaps: Vec<Rect>,
    /// The last result.
    pub status: Rect,
    /// The keys.
    pub footer: Rect,
}

impl Layout {
    /// A pane's area; empty when it is not shown.
    pub(super) fn pane(&self, wanted: Pane) -> Rect {
        self.panes.iter().find(|(pane, _)| *pane == wanted).map(|(_, area)| *area).unwrap_or_default()
    }

    /// The part of a pane below its heading.
    pub(super) fn body(&self, wanted: Pane) -> Rect {
        body(self.pane(wanted))
    }
}

/// The part of a pane below its heading.
pub(super) fn body(area: Rect) -> Rect {
    let heading = HEADING.min(area.height);
    Rect { y: area.y + heading, height: area.height - heading, ..area }
}

/// The layout of this screen; none when it is too small.
pub(super) fn layout(state: &State, snapshot: &Snapshot, area: Rect) -> Option<Layout> {
    if area.width < FLOOR.0 || area.height < FLOOR.1 {
        return None;
    }
    let row = |y| Rect { y, height: 1, ..area };
    let (header, status, footer) = (row(area.y), row(area.bottom() - 2), row(area.bottom() - 1));
    let middle = Rect { y: area.y + 1, height: area.height - 3, ..area };
    let mut gaps = Vec::new();
    let panes =
        if state.zoomed { vec![(state.focus, middle)] } else { arrange(state, snapshot, middle, &mut gaps) };
    Some(Layout { header, panes, gaps, status, footer })
}

fn arrange(state: &State, snapshot: &Snapshot, middle: Rect, gaps: &mut Vec<Rect>) -> Vec<(Pane, Rect)> {
    let (width, height) = (middle.width, middle.height);
    let rows = |count: usize| u16::try_from(count).unwrap_or(u16::MAX).saturating_add(HEADING);
    let agents = rows(snapshot.agents.len().max(1));
    let services = if snapshot.services.is_empty() && state.focus != Pane::Services {
        0
    } else {
        rows(snapshot.services.len().max(1))
    };
    if width >= 104 && height >= 13 {
        let left_width = (width * 9 / 20).clamp(52, 84);
        let (left, right) = beside(middle, left_width, gaps);
        let services = services.min(height / 3);
        let agents = agents.saturating_add(1).max(4).min((height - services) * 2 / 5);
        let parts = stack(left, &[agents, height - services - agents, services]);
        return vec![
            (Pane::Agents, parts[0]),
            (Pane::Tasks, parts[1]),
            (Pane::Services, parts[2]),
            (Pane::Logs, right),
        ];
    }
    if width >= 64 && (13..30).contains(&height) {
        let services = services.min(height / 4);
        let lists = agents.max(rows(snapshot.tasks.len().max(1))).max(5).min((height - services) * 9 / 20);
        let parts = stack(middle, &[lists, services, height - services - lists]);
        let (left, right) = beside(parts[0], width * 11 / 20, gaps);
        return vec![
            (Pane::Agents, left),
            (Pane::Tasks, right),
            (Pane::Services, parts[1]),
            (Pane::Logs, parts[2]),
        ];
    }
    if width >= 40 && height >= 22 {
        let services = services.min(height / 5);
        let agents = agents.saturating_add(1).max(4).min(height / 4);
        let tasks = rows(snapshot.tasks.len().max(1)).saturating_add(1).max(4).min(height / 4);
        let parts = stack(middle, &[agents, tasks, services, height - services - agents - tasks]);
        return vec![
            (Pane::Agents, parts[0]),
            (Pane::Tasks, parts[1]),
            (Pane::Services, parts[2]),
            (Pane::Logs, parts[3]),
        ];
    }
    vec![(state.focus, middle)]
}

/// Two areas side by side, with a line between them that touches neither.
fn beside(area: Rect, left: u16, gaps: &mut Vec<Rect>) -> (Rect, Rect) {
    let left = Rect { width: left.min(area.width.saturating_sub(4)), ..area };
    gaps.push(Rect { x: left.right() + 1, width: 1, ..area });
    let right = Rect { x: left.right() + 3, width: area.width - left.width - 3, ..area };
    (left, right)
}

/// Areas below each other.
fn stack<const N: usize>(area: Rect, heights: &[u16; N]) -> [Rect; N] {
    let mut y = area.y;
    heights.map(|height| {
        let part = Rect { y, height: height.min(area.bottom() - y), ..area };
        y = part.bottom();
        part
    })
}
