//! Docker's errors, classified: the one place that looks into its texts.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use crate::{Error, ErrorKind, Holder};

/// The operation whose failures may be the registry's.
pub(super) const PULL: &str = "pull image";

/// A failed request, before it is classified.
#[derive(Debug)]
pub(super) struct Failure {
    cause: Cause,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The engine answered with this status.
    Answer(u16),
    /// The socket failed.
    Io(io::ErrorKind),
    /// No answer in time.
    Timeout,
    /// An error record in the middle of a stream.
    Record,
    /// Anything else.
    Other,
}

impl Failure {
    pub(super) fn answer(status: u16, text: String) -> Self {
        Self { cause: Cause::Answer(status), text }
    }

    pub(super) fn io(error: &io::Error) -> Self {
        Self { cause: Cause::Io(error.kind()), text: error.to_string() }
    }

    pub(super) fn http(error: &hyper::Error) -> Self {
        Self::broken(error)
    }

    /// From an error whose causes tell whether the connection broke.
    fn broken(error: &(dyn StdError + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Self::io(error);
            }
            // An engine that goes away in the middle of an answer leaves it incomplete.
            if let Some(error) = error.downcast_ref::<hyper::Error>()
                && (error.is_incomplete_message() || error.is_closed() || error.is_canceled())
            {
                return Self { cause: Cause::Io(io::ErrorKind::UnexpectedEof), text: error.to_string() };
            }
            cause = error.source();
        }
        Self { cause: Cause::Other, text: chain(error) }
    }

    pub(super) fn timeout(limit: Duration) -> Self {
        Self { cause: Cause::Timeout, text: format!("no answer in {} s", limit.as_secs_f32()) }
    }

    pub(super) fn record(text: String) -> Self {
        Self { cause: Cause::Record, text }
    }

    pub(super) fn other(text: String) -> Self {
        Self { cause: Cause::Other, text }
    }

    /// The status, where the engine answered.
    pub(super) fn status(&self) -> Option<u16> {
        match self.cause {
            Cause::Answer(status) => Some(status),
            _ => None,
        }
    }

    /// Whether the engine's text says so; for the few calls that go on after an error.
    pub(super) fn says(&self, words: &str) -> bool {
        self.text.to_lowercase().contains(words)
    }

    /// The error that callers see.
    pub(super) fn into_error(self, operation: &'static str, subject: &str) -> Error {
        Error::new(classify(self.cause, &self.text, operation), operation, subject, self.text)
    }
}

impl From<bollard::errors::Error> for Failure {
    fn from(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error as Bollard;
        match error {
            Bollard::DockerResponseServerError { status_code, message } => Self::answer(status_code, message),
            Bollard::DockerStreamError { error } => Self::record(error),
            Bollard::RequestTimeoutError => {
                Self { cause: Cause::Timeout, text: "no answer in time".to_owned() }
            }
            Bollard::IOError { err } => Self::io(&err),
            Bollard::HyperResponseError { err } => Self::http(&err),
            Bollard::SocketNotFoundError(path) => {
                Self { cause: Cause::Io(io::ErrorKind::NotFound), text: format!("{path} does not exist") }
            }
            other => Self::broken(&other),
        }
    }
}

/// An error and its causes on one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// Words that must all be in a text, in lower case, and what the text then means.
type Meaning = (&'static [&'static str], fn(&str) -> ErrorKind);

/// What a text means. The first match counts, and comes before the status.
const TEXTS: &[Meaning] = &[
    (&["no space left on device"], |_| ErrorKind::DiskFull),
    (&["port is already allocated"], port_taken),
    (&["bind: address already in use"], port_taken),
    (&["ports are not available"], port_taken),
    (&["is already in use by container"], |_| ErrorKind::NameTaken(Box::default())),
    (&["network with name", "already exists"], |_| ErrorKind::NameTaken(Box::default())),
    (&["no such image"], |_| ErrorKind::ImageMissing),
    (&["has active endpoints"], |_| ErrorKind::InUse),
    (&["volume is in use"], |_| ErrorKind::InUse),
    (&["is ambiguous"], |_| ErrorKind::Conflict),
    (&["authorization denied by plugin"], |_| ErrorKind::Denied),
    (&["bind source path does not exist"], |_| ErrorKind::Invalid),
    // The command of a container cannot be run; it is what was asked for, so trying again is no help.
    (&["executable file not found"], |_| ErrorKind::Invalid),
    (&["runtime create failed", "no such file or directory"], |_| ErrorKind::Invalid),
    (&["runtime create failed", "permission denied"], |_| ErrorKind::Invalid),
];

/// What a text means in a pull, where the registry speaks too.
const PULL_TEXTS: &[Meaning] = &[
    (&["manifest unknown"], |_| ErrorKind::ImageMissing),
    (&["manifest for", "not found"], |_| ErrorKind::ImageMissing),
    (&["name unknown"], |_| ErrorKind::ImageMissing),
    (&["repository does not exist"], |_| ErrorKind::ImageMissing),
    (&["failed to resolve reference", "not found"], |_| ErrorKind::ImageMissing),
    (&["no matching manifest"], |_| ErrorKind::ImageMissing),
    (&["invalid reference format"], |_| ErrorKind::Invalid),
    (&["unauthorized"], |_| ErrorKind::Denied),
    (&["no basic auth credentials"], |_| ErrorKind::Denied),
    (&["denied"], |_| ErrorKind::Denied),
    (&["no such host"], |_| ErrorKind::Unavailable),
    (&["connection refused"], |_| ErrorKind::Unavailable),
    (&["connection reset"], |_| ErrorKind::Unavailable),
    (&["timeout"], |_| ErrorKind::Unavailable),
    (&["deadline exceeded"], |_| ErrorKind::Unavailable),
    (&["request canceled"], |_| ErrorKind::Unavailable),
    (&["server misbehaving"], |_| ErrorKind::Unavailable),
    (&["network is unreachable"], |_| ErrorKind::Unavailable),
    (&["no route to host"], |_| ErrorKind::Unavailable),
    (&["toomanyrequests"], |_| ErrorKind::Unavailable),
    (&["x509"], |_| ErrorKind::Unavailable),
    (&["eof"], |_| ErrorKind::Unavailable),
];

fn classify(cause: Cause, text: &str, operation: &'static str) -> ErrorKind {
    let status = match cause {
        Cause::Timeout => return ErrorKind::Timeout,
        Cause::Io(io::ErrorKind::PermissionDenied) => return ErrorKind::Denied,
        Cause::Io(_) => return ErrorKind::Unavailable,
        Cause::Answer(status) => Some(status),
        Cause::Record | Cause::Other => None,
    };
    let text = text.to_lowercase();
    let special: &[_] = if operation == PULL { PULL_TEXTS } else { &[] };
    let meant = TEXTS.iter().chain(special).find(|(words, _)| words.iter().all(|word| text.contains(word)));
    if let Some((_, kind)) = meant {
        return kind(&text);
    }
    match status {
        Some(400) => ErrorKind::Invalid,
        Some(401 | 403) => ErrorKind::Denied,
        Some(404) if operation == PULL => ErrorKind::ImageMissing,
        Some(404) => ErrorKind::NotFound,
        Some(409) => ErrorKind::Conflict,
        Some(501) => ErrorKind::Unsupported,
        Some(502..=504) => ErrorKind::Unavailable,
        _ => ErrorKind::Other,
    }
}

/// The port is the number in front of the words that say it is taken.
fn port_taken(text: &str) -> ErrorKind {
    let end =
        [" failed: port is already allocated", ": bind: address already in use", ": ports are not available"]
            .iter()
            .find_map(|words| text.find(words));
    let port = end.and_then(|end| {
        let digits = text[..end].bytes().rev().take_while(u8::is_ascii_digit).count();
        text[end - digits..end].parse().ok()
    });
    ErrorKind::PortTaken { port }
}

/// [`ErrorKind::NameTaken`] with its holder.
pub(super) fn name_taken(operation: &'static str, name: &str, labels: crate::Labels, detail: &str) -> Error {
    let holder = Holder { name: Some(name.to_owned()), labels };
    Error::new(ErrorKind::NameTaken(Box::new(holder)), operation, name, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, text: &str) -> ErrorKind {
        Failure::answer(status, text.to_owned()).into_error("start container", "x").kind
    }

    fn pull(status: u16, text: &str) -> ErrorKind {
        Failure::answer(status, text.to_owned()).into_error(PULL, "x").kind
    }

    #[test]
    fn texts_of_docker_20_and_26() {
        let taken = |port| ErrorKind::PortTaken { port };
        for (status, text, wanted) in [
            (
                500,
                "driver failed programming external connectivity on endpoint b (5e3f): \
                 Bind for 127.0.0.1:29990 failed: port is already allocated",
                taken(Some(29990)),
            ),
            (
                500,
                "driver failed programming external connectivity on endpoint b: Error starting userland proxy: \
                 listen tcp4 127.0.0.1:29991: bind: address already in use",
                taken(Some(29991)),
            ),
            (500, "Ports are not available: exposing port TCP 127.0.0.1:80", taken(None)),
            (404, "No such image: nope/nope:1", ErrorKind::ImageMissing),
            (404, "network nonet not found", ErrorKind::NotFound),
            (404, "No such container: x", ErrorKind::NotFound),
            (403, "error while removing network: network x id 1 has active endpoints", ErrorKind::InUse),
            (409, "remove v: volume is in use - [abc]", ErrorKind::InUse),
            (409, "network with name x already exists", ErrorKind::NameTaken(Box::default())),
            (
                409,
                "Conflict. The container name \"/x\" is already in use by container \"ab\". You have to …",
                ErrorKind::NameTaken(Box::default()),
            ),
            (409, "Container ab is not running", ErrorKind::Conflict),
            (400, "network x is ambiguous (2 matches found on name)", ErrorKind::Conflict),
            (
                400,
                "invalid mount config for type \"bind\": bind source path does not exist: /nope",
                ErrorKind::Invalid,
            ),
            (
                400,
                "failed to create shim: OCI runtime create failed: exec: \"nope\": executable file not found in $PATH",
                ErrorKind::Invalid,
            ),
            (
                400,
                "client version 1.53 is too new. Maximum supported API version is 1.41",
                ErrorKind::Invalid,
            ),
            (500, "write /var/lib/docker/tmp/x: no space left on device", ErrorKind::DiskFull),
            (500, "something else", ErrorKind::Other),
        ] {
            assert_eq!(kind(status, text), wanted, "{text}");
        }
    }

    #[test]
    fn texts_of_pulls() {
        for (status, text, wanted) in [
            (404, "manifest for x:1 not found: manifest unknown: manifest unknown", ErrorKind::ImageMissing),
            (
                404,
                "pull access denied for x, repository does not exist or may require 'docker login'",
                ErrorKind::ImageMissing,
            ),
            (
                500,
                "Get \"https://r/v2/\": dial tcp 127.0.0.1:5055: connect: connection refused",
                ErrorKind::Unavailable,
            ),
            (500, "Get \"https://r/v2/\": dial tcp: lookup r: no such host", ErrorKind::Unavailable),
            (500, "Get \"https://r/v2/\": net/http: TLS handshake timeout", ErrorKind::Unavailable),
            (500, "Head \"https://r/v2/x\": unauthorized: authentication required", ErrorKind::Denied),
        ] {
            assert_eq!(pull(status, text), wanted, "{text}");
        }
        let record = Failure::record("write /x: no space left on device".to_owned());
        assert_eq!(record.into_error(PULL, "x").kind, ErrorKind::DiskFull);
    }

    #[test]
    fn sockets() {
        for (from, wanted) in [
            (io::ErrorKind::NotFound, ErrorKind::Unavailable),
            (io::ErrorKind::ConnectionRefused, ErrorKind::Unavailable),
            (io::ErrorKind::ConnectionReset, ErrorKind::Unavailable),
            (io::ErrorKind::PermissionDenied, ErrorKind::Denied),
        ] {
            assert_eq!(Failure::io(&io::Error::from(from)).into_error("list containers", "").kind, wanted);
        }
    }
}
