//! How things look. Only the terminal's own sixteen colours and never a background, so that dark and light terminals
//! and those without colours all stay readable.

use ratatui::style::{Color, Modifier, Style};

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing in particular.
    Plain,
    /// As it should be.
    Good,
    /// On its way.
    Busy,
    /// Worth a look.
    Warning,
    /// Wrong.
    Bad,
    /// Beside the point.
    Faint,
    /// A heading.
    Strong,
    /// Where one is.
    Accent,
    /// Found by a search.
    Found,
    /// Selected.
    Selected,
}

/// With or without colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// Colours are used.
    pub colour: bool,
    /// The background is light: what is hard to read there is not used.
    pub light: bool,
}

impl Theme {
    /// The style of a tone.
    pub(super) fn style(self, tone: Tone) -> Style {
        let plain = Style::new();
        let coloured = |colour| if self.colour { plain.fg(colour) } else { plain };
        let (busy, warning) =
            if self.light { (Color::Blue, Color::Magenta) } else { (Color::Cyan, Color::Yellow) };
        match tone {
            Tone::Plain => plain,
            Tone::Good => coloured(Color::Green),
            Tone::Busy => coloured(busy),
            Tone::Warning => coloured(warning),
            Tone::Bad => coloured(Color::Red).add_modifier(Modifier::BOLD),
            Tone::Faint => plain.add_modifier(Modifier::DIM),
            Tone::Strong => plain.add_modifier(Modifier::BOLD),
            Tone::Accent => coloured(busy).add_modifier(Modifier::BOLD),
            Tone::Found => plain.add_modifier(Modifier::REVERSED | Modifier::BOLD),
            // One bar, whatever is in it: reversed, every colour would be a background of its own.
            Tone::Selected => {
                plain.fg(Color::Reset).add_modifier(Modifier::REVERSED).remove_modifier(Modifier::DIM)
            }
        }
    }
}
