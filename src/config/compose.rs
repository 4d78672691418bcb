//! Compose's short forms for ports, volumes and memory file systems.

use std::path::{Path, PathBuf};

use super::units;
use crate::model::{Bind, HostPort, PortMapping, TmpfsMount, VolumeMount, VolumeSource};

/// Why a short form was refused: what is wrong, and what to do.
pub(super) type Refused = (String, &'static str);

fn refused<T>(message: impl Into<String>, help: &'static str) -> Result<T, Refused> {
    Err((message.into(), help))
}

/// Parses `[127.0.0.1:][HOST:]CONTAINER[/tcp]`.
///
/// # Errors
/// Not of that form, a range, another protocol, or an address that others can reach.
pub(super) fn port(text: &str) -> Result<PortMapping, Refused> {
    let (text, protocol) = text.trim().split_once('/').unwrap_or((text.trim(), "tcp"));
    if !protocol.eq_ignore_ascii_case("tcp") {
        return refused(format!("`{protocol}` ports cannot be published"), "only tcp can");
    }
    let (address, ports) = match text.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        Some((address, ports)) => (Some(address), ports),
        None => match text.rmatch_indices(':').nth(1) {
            Some((index, _)) => (Some(&text[..index]), &text[index + 1..]),
            None => (None, text),
        },
    };
    if let Some(address) = address
        && address != "127.0.0.1"
    {
        return refused(
            format!("`{address}` is not 127.0.0.1, the only address that ports are published on"),
            "leave the address out: services hold development data and default passwords",
        );
    }
    if ports.contains('-') {
        return refused("port ranges cannot be published", "list the ports one by one");
    }
    let (host, container) = match ports.split_once(':') {
        Some((host, container)) => (Some(host), container),
        None => (None, ports),
    };
    let number = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => refused(
            format!("`{}` is not a port from 1 to 65535", super::reader::clipped(text)),
            "write `5432`, `15432:5432` or `127.0.0.1:15432:5432`",
        ),
    };
    let container = number(container)?;
    let host = match host {
        // Compose takes `127.0.0.1::5432` for any free port.
        None | Some("") => HostPort::Auto,
        Some(host) => HostPort::Fixed(number(host)?),
    };
    Ok(PortMapping { container, host })
}

/// Parses `SOURCE:TARGET[:OPTIONS]`, options being `ro`, `rw`, `z`, `Z` with commas between.
///
/// # Errors
/// Not of that form, an anonymous volume, an unknown option, a bad name or target.
pub(super) fn volume(text: &str, root: &Path, home: Option<&Path>) -> Result<VolumeMount, Refused> {
    let mut parts = text.split(':');
    let (source, target, options) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    const FORM: &str =
        "write `name:/path` or `./dir:/path`, and `:ro` after it where it is not to be written";
    if parts.next().is_some() {
        return refused("a volume has at most two colons", FORM);
    }
    let Some(target) = target else {
        return refused(
            "this volume has no name, so its data would be lost with the container",
            "write `name:/path`",
        );
    };
    let mut read_only = false;
    let mut relabel_shared = None;
    for option in options.into_iter().flat_map(|options| options.split(',')) {
        match option {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "z" => relabel_shared = Some(true),
            "Z" => relabel_shared = Some(false),
            _ => {
                return refused(
                    format!("`{}` is not an option of a volume", super::reader::clipped(option)),
                    FORM,
                );
            }
        }
    }
    let mut source = self::source(source, root, home)?;
    if let VolumeSource::Bind(bind) = &mut source {
        bind.relabel_shared = relabel_shared;
    }
    Ok(VolumeMount { source, target: self::target(target)?, read_only })
}

/// A volume's name, or a path: absolute, or beginning with `./`, `../` or `~/`.
///
/// # Errors
/// Neither.
pub(super) fn source(text: &str, root: &Path, home: Option<&Path>) -> Result<VolumeSource, Refused> {
    let bind = |path: PathBuf| Ok(VolumeSource::Bind(Bind { path: tidy(&path), relabel_shared: None }));
    if text == "~" || text.starts_with("~/") {
        return match home {
            Some(home) => bind(home.join(text.trim_start_matches('~').trim_start_matches('/'))),
            None => refused("`~` cannot be resolved: there is no home directory", "write the path in full"),
        };
    }
    if text.starts_with(['/', '.']) {
        return bind(root.join(text));
    }
    if text.is_empty() {
        return refused("the source is empty", "write `name:/path` or `./dir:/path`");
    }
    if text.contains('/') {
        return refused(
            format!("`{}` is neither a volume's name nor a path", super::reader::clipped(text)),
            "begin a path with `./`",
        );
    }
    if !is_engine_name(text) {
        return refused(
            format!("`{}` cannot be the name of a volume", super::reader::clipped(text)),
            "use letters, digits, `_`, `.` and `-`, at most 128, beginning with a letter or digit",
        );
    }
    Ok(VolumeSource::Named(text.to_owned()))
}

/// A path inside a container.
///
/// # Errors
/// Not absolute, or the root.
pub(super) fn target(text: &str) -> Result<String, Refused> {
    if !text.starts_with('/') {
        return refused(
            format!("the target `{}` is not an absolute path", super::reader::clipped(text)),
            "begin it with `/`",
        );
    }
    let tidy = tidy(Path::new(text));
    match tidy.to_str() {
        Some(text) if text != "/" => Ok(text.to_owned()),
        _ => refused("the target cannot be `/`", "name a directory inside the container"),
    }
}

/// Parses `TARGET[:size=64m,...]`. Options other than the size are the engine's defaults and refused.
///
/// # Errors
/// Not of that form.
pub(super) fn tmpfs(text: &str) -> Result<TmpfsMount, Refused> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let mut size = None;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let Some(value) = option.strip_prefix("size=") else {
            return refused(
                format!("`{}` is not an option of tmpfs", super::reader::clipped(option)),
                "only `size=64m` is",
            );
        };
        size = match units::bytes(value) {
            Ok(size) => Some(size),
            Err(why) => {
                return refused(
                    format!("`{}` is not a size: {why}", super::reader::clipped(value)),
                    "write it as `64m`",
                );
            }
        };
    }
    Ok(TmpfsMount { target: self::target(target)?, size })
}

/// Whether engines take this as the name of a volume or network.
pub(super) fn is_engine_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    name.len() <= 128 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(allowed)
}

/// Resolves `.` and `..` in the text of a path, without looking at the disk.
pub(super) fn tidy(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}
