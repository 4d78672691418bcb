//! `role list` and `role show`.

use std::fmt::Write as _;

use crate::agents::roles::Profile;
use crate::cli::text;

/// A role of a list.
#[derive(Debug)]
pub enum RoleLine<'a> {
    /// One that can be used.
    Usable(&'a Profile),
    /// Its name, and why it cannot be used.
    Broken(&'a str, &'a str),
}

/// A table with one role per line.
pub fn render_roles<'a>(roles: impl IntoIterator<Item = RoleLine<'a>>) -> String {
    let head = ["ROLE", "SOURCE", "AGENT", "MODEL", "DESCRIPTION"].map(str::to_owned);
    let rows = roles.into_iter().map(|role| match role {
        RoleLine::Usable(profile) => [
            profile.name.clone().unwrap_or_default(),
            profile.source.to_string(),
            profile.agent.clone(),
            profile.model.clone().unwrap_or_else(|| "-".to_owned()),
            text::shorten(&profile.description, 100),
        ],
        RoleLine::Broken(name, why) => {
            [name.to_owned(), "broken".to_owned(), "-".to_owned(), "-".to_owned(), text::shorten(why, 200)]
        }
    });
    text::table(std::iter::once(head).chain(rows))
}

/// One role in full.
pub fn render_role(profile: &Profile) -> String {
    let list =
        |items: &[String], none: &str| if items.is_empty() { none.to_owned() } else { items.join(", ") };
    let chosen = |value: &Option<String>, none: &str| value.clone().unwrap_or_else(|| none.to_owned());
    let limits = &profile.resources;
    let mut resources = Vec::new();
    if let Some(memory) = limits.memory {
        resources.push(format!("{} MiB of memory", memory >> 20));
    }
    if let Some(milli) = limits.milli_cpus {
        resources
            .push(format!("{} processors", f64::from(u32::try_from(milli).unwrap_or(u32::MAX)) / 1000.0));
    }
    if let Some(pids) = limits.pids {
        resources.push(format!("{pids} processes"));
    }
    let rows = [
        ("Role", profile.name.clone().unwrap_or_default()),
        ("Source", profile.source.to_string()),
        ("Description", profile.description.clone()),
        ("Agent", profile.agent.clone()),
        ("Model", chosen(&profile.model, "the agent CLI's own choice")),
        ("Image", chosen(&profile.image, "the default image")),
        ("Turns", format!("at most {}", profile.max_turns)),
        ("At once", at_once(profile.concurrency)),
        ("Allowed tools", list(&profile.allowed_tools, "all")),
        ("Denied tools", list(&profile.denied_tools, "none")),
        ("Resources", list(&resources, "no limits")),
        ("Reads first", list(&profile.context_files, "nothing")),
    ];
    let mut out = text::table(rows.map(|(name, value)| [format!("{name}:"), value]));
    // Writing to a string cannot fail.
    _ = write!(out, "\n{}\n", text::block(profile.prompt.trim()));
    out
}

fn at_once(concurrency: Option<u32>) -> String {
    match concurrency {
        Some(1) => "1 task".to_owned(),
        Some(most) => format!("at most {most} tasks"),
        None => "as many tasks as `limits` allow".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::roles;
    use crate::model::AgentSettings;

    #[test]
    fn roles_are_shown_with_what_is_wrong_with_them() {
        let qa =
            roles::resolve(Some("qa"), &AgentSettings::default(), std::path::Path::new("/nowhere")).unwrap();
        let qa =
            Profile { prompt: "Break it.\x1b[2J".to_owned(), allowed_tools: vec!["Read".to_owned()], ..qa };
        let broken = RoleLine::Broken("poet", "poet.md:2: unknown field");
        insta::assert_snapshot!(render_roles([broken, RoleLine::Usable(&qa)]));
        insta::assert_snapshot!(render_role(&qa));
    }
}
