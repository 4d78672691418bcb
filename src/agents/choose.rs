//! What an agent is made of: what was asked for, then its role, then the defaults.

use std::path::Path;

use super::memory::Asked;
use super::roles::{self, Profile, RoleError};
use crate::model::{AgentSettings, AgentSpec};

/// The profile of an agent of this role (or of its workstream's role), with what was asked for in place.
///
/// # Errors
///
/// The role cannot be used.
pub(super) fn choose(
    settings: &AgentSettings,
    project: &Path,
    (role, workstream): (Option<&str>, Option<&str>),
    asked: &Asked,
) -> Result<Profile, RoleError> {
    let of_workstream = || settings.workstreams.get(workstream?)?.role.as_deref();
    let mut profile = roles::resolve(role.or_else(of_workstream), settings, project)?;
    if let Some(adapter) = &asked.adapter {
        profile.agent.clone_from(adapter);
    }
    profile.image = asked.image.clone().or(profile.image);
    profile.model = asked.model.clone().or(profile.model);
    Ok(profile)
}

/// An agent's specification as it would be now. What the configuration does not say (any more) stays.
pub(super) fn renewed(
    spec: &AgentSpec,
    settings: &AgentSettings,
    project: &Path,
    asked: &Asked,
) -> AgentSpec {
    let whose = (spec.role.as_deref(), spec.workstream.as_deref());
    let Ok(profile) = choose(settings, project, whose, asked) else { return spec.clone() };
    AgentSpec {
        adapter: profile.agent,
        image: profile.image.unwrap_or_else(|| spec.image.clone()),
        model: profile.model,
        resources: profile.resources,
        ..spec.clone()
    }
}

/// The name that is most like `wanted`, where one is like it at all.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    names
        .map(|name| (strsim::damerau_levenshtein(wanted, name), name.as_str()))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}
