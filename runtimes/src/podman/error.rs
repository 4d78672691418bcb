//! What a failed call means: the one place that looks into Podman's words.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use hyper::StatusCode;

use crate::{Error, ErrorKind};

/// How a call failed, before anybody asked what it means.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection.
    Connect(io::Error),
    /// The connection broke: the effect may or may not have happened.
    Broken(String),
    /// The engine answered with an error (304 among them).
    Api { status: StatusCode, message: String },
    /// The answer was not understood.
    Garbled(String),
    /// No answer in time.
    Late,
}

impl Failure {
    pub(super) fn garbled(error: impl fmt::Display) -> Self {
        Self::Garbled(error.to_string())
    }

    /// A failed exchange, with the whole chain of causes: hyper's own text says little.
    pub(super) fn broken(error: impl StdError + 'static) -> Self {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            text = format!("{text}: {cause}");
            next = cause.source();
        }
        Self::Broken(text)
    }

    /// A failure that an answer of success carried.
    pub(super) fn reported(message: String) -> Self {
        Self::Api { status: StatusCode::INTERNAL_SERVER_ERROR, message }
    }

    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect(error) => super::http::connect_error(error),
            Self::Broken(_) => ErrorKind::Unavailable,
            Self::Api { status, message } => classify(*status, message),
            Self::Garbled(_) => ErrorKind::Other,
            Self::Late => ErrorKind::Timeout,
        }
    }

    /// The error of the trait.
    pub(super) fn at(self, operation: &'static str, subject: &str) -> Error {
        Error::new(self.kind(), operation, subject, self)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "no connection to Podman: {error}"),
            Self::Broken(text) => write!(f, "the connection to Podman broke: {text}"),
            Self::Api { message, .. } => f.write_str(message),
            Self::Garbled(text) => write!(f, "Podman's answer was not understood: {text}"),
            Self::Late => f.write_str("Podman did not answer in time"),
        }
    }
}

impl From<podman_api::Error> for Failure {
    /// podman-api's error is taken apart here and never cloned: its `clone` recurses without end.
    fn from(error: podman_api::Error) -> Self {
        use podman_api::{Error as Api, conn};
        match error {
            Api::Fault { code, message } | Api::Error(conn::Error::Fault { code, message }) => {
                let status = StatusCode::from_u16(code.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Self::Api { status, message: unrepeated(&message).to_owned() }
            }
            Api::SerdeJsonError(error) => Self::garbled(error),
            error => match io_cause(&error) {
                Some(cause) => Self::Connect(cause),
                None => Self::Broken(error.to_string()),
            },
        }
    }
}

/// podman-api appends the cause to a message that ends with it already.
fn unrepeated(message: &str) -> &str {
    message
        .char_indices()
        .filter(|(_, c)| *c == ':')
        .filter_map(|(at, _)| Some((message.get(..at)?, message.get(at + 1..)?.trim_start())))
        .find(|(head, cause)| !cause.is_empty() && head.ends_with(cause))
        .map_or(message, |(head, _)| head)
}

/// The input-output error at the bottom of `error`, if it is about connecting.
fn io_cause(error: &(dyn StdError + 'static)) -> Option<io::Error> {
    use io::ErrorKind as Kind;
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            let connecting =
                matches!(error.kind(), Kind::NotFound | Kind::ConnectionRefused | Kind::PermissionDenied);
            return connecting.then(|| io::Error::new(error.kind(), error.to_string()));
        }
        next = cause.source();
    }
    None
}

/// The first row with one of its phrases in the message decides. Seen on 4.3.1 rootful and rootless and on 5.4.2,
/// or in their source; the status alone would mislead, since almost everything is a 500.
const TABLE: &[(&[&str], ErrorKind)] = &[
    (&["no space left on device", "disk quota exceeded"], ErrorKind::DiskFull),
    (&["cannot expose privileged port"], ErrorKind::Denied),
    (
        &[
            "image not known",
            "no such image",
            "manifest unknown",
            "name unknown",
            "repository name not known",
            "requested access to the resource is denied",
            "did not resolve to an alias",
        ],
        ErrorKind::ImageMissing,
    ),
    (
        &[
            "no such container",
            "no container with",
            "does not exist in database",
            "network not found",
            "no such network",
            "no such volume",
            "no volume with name",
            "no such exec session",
        ],
        ErrorKind::NotFound,
    ),
    (&["is being used", "has active endpoints", "has dependent containers"], ErrorKind::InUse),
    // A command that cannot be started; the text also says "permission denied", but it is the file's.
    (
        &[
            "attempted to invoke a command",
            "executable file not found",
            "oci permission denied",
            "no matching entries in",
        ],
        ErrorKind::Invalid,
    ),
    // A bind source that is not there, where it is not made.
    (&["statfs /", "bind source path does not exist"], ErrorKind::Invalid),
    (&["container state improper", "is not running", "is not paused"], ErrorKind::Conflict),
    (&["permission denied", "operation not permitted"], ErrorKind::Denied),
    (&["invalid argument", "invalid signal", "invalid reference format"], ErrorKind::Invalid),
];

/// What an error answer means.
fn classify(status: StatusCode, message: &str) -> ErrorKind {
    let text = message.to_lowercase();
    let has = |needle: &str| text.contains(needle);
    if has("name is already in use")
        || has("network already exists")
        || has("volume already exists")
        || has("network name") && has("already used")
        || has("volume with name") && has("already exists")
    {
        return ErrorKind::NameTaken(Box::default());
    }
    // "listen tcp4 127.0.0.1:80: bind: address already in use", rootless with "rootlessport" before it.
    if has("address already in use") || has("port is already allocated") {
        return ErrorKind::PortTaken { port: port(&text) };
    }
    if let Some((_, kind)) = TABLE.iter().find(|(needles, _)| needles.iter().any(|needle| has(needle))) {
        return kind.clone();
    }
    match status {
        // Without an error document it is not the object that is missing but the call.
        StatusCode::NOT_FOUND if text == "not found" => ErrorKind::Unsupported,
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::CONFLICT => ErrorKind::Conflict,
        StatusCode::BAD_REQUEST => ErrorKind::Invalid,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Denied,
        StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED => ErrorKind::Unsupported,
        _ => ErrorKind::Other,
    }
}

/// The port in `… listen tcp4 127.0.0.1:18765: bind: …`.
fn port(text: &str) -> Option<u16> {
    let (_, address) = text.split_once("listen tcp")?;
    let address = address.split_whitespace().find(|word| word.contains(':'))?;
    address.trim_end_matches(':').rsplit_once(':')?.1.parse().ok()
}

/// What a failed pull means. The text is the registry client's, so it is judged apart from the engine's own.
pub(super) fn pull_kind(message: &str) -> ErrorKind {
    const AWAY: &[&str] = &[
        "connection refused",
        "connection reset",
        "no such host",
        "server misbehaving",
        "i/o timeout",
        "network is unreachable",
        "no route to host",
        "tls handshake timeout",
        "context deadline exceeded",
        "toomanyrequests",
        "too many requests",
        "unexpected eof",
        "service unavailable",
        "bad gateway",
    ];
    let text = message.to_lowercase();
    if AWAY.iter().any(|needle| text.contains(needle)) {
        return ErrorKind::Unavailable;
    }
    match classify(StatusCode::INTERNAL_SERVER_ERROR, message) {
        ErrorKind::NotFound => ErrorKind::ImageMissing,
        ErrorKind::Other if text.contains("not found") => ErrorKind::ImageMissing,
        ErrorKind::Other if text.contains("unauthorized") || text.contains("authentication required") => {
            ErrorKind::Denied
        }
        kind => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken() -> ErrorKind {
        ErrorKind::NameTaken(Box::default())
    }

    #[test]
    fn kinds_of_recorded_errors() {
        let cases: &[(u16, &str, ErrorKind)] = &[
            (
                500,
                "creating container storage: the container name \"e1\" is already in use by 83aff. You have to remove \
                 that container to be able to reuse that name: that name is already in use",
                taken(),
            ),
            (409, "network name n1 already used: network already exists", taken()),
            (500, "volume with name v1 already exists: volume already exists", taken()),
            (500, "nosuch:1: image not known", ErrorKind::ImageMissing),
            (404, "nosuch:1: No such image", ErrorKind::ImageMissing),
            (500, "unable to find network with name or ID nonet: network not found", ErrorKind::NotFound),
            (404, "no container with name or ID \"nono\" found: no such container", ErrorKind::NotFound),
            (500, "container 12ab does not exist in database: no such container", ErrorKind::NotFound),
            (500, "no container with ID 12ab found in database: no such container", ErrorKind::NotFound),
            (404, "no volume with name \"v1\" found: no such volume", ErrorKind::NotFound),
            (404, "Not Found", ErrorKind::Unsupported),
            (
                500,
                "cannot listen on the TCP port: listen tcp4 127.0.0.1:18765: bind: address already in use",
                ErrorKind::PortTaken { port: Some(18765) },
            ),
            (
                500,
                "rootlessport listen tcp 127.0.0.1:18765: bind: address already in use",
                ErrorKind::PortTaken { port: Some(18765) },
            ),
            (
                500,
                "rootlessport cannot expose privileged port 80, you can add \
                 'net.ipv4.ip_unprivileged_port_start=80' to /etc/sysctl.conf (currently 1024), or choose a larger \
                 port number (>= 1024): listen tcp 127.0.0.1:80: bind: permission denied",
                ErrorKind::Denied,
            ),
            (
                500,
                "can only kill running containers. 83af is in state exited: container state improper",
                ErrorKind::Conflict,
            ),
            (409, "container 83af is not running", ErrorKind::Conflict),
            (
                500,
                "\"n1\" has associated containers with it. Use -f to forcibly delete containers and pods: network is \
                 being used",
                ErrorKind::InUse,
            ),
            (
                409,
                "volume v1 is being used by the following container(s): 1207: volume is being used",
                ErrorKind::InUse,
            ),
            (
                500,
                "running container create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument",
                ErrorKind::Invalid,
            ),
            (500, "invalid signal: FOO", ErrorKind::Invalid),
            (500, "writing blob: write /var/tmp/x: no space left on device", ErrorKind::DiskFull),
            (
                500,
                "runc: exec failed: unable to start container process: exec: \"nope\": executable file not found in \
                 $PATH: OCI runtime attempted to invoke a command that was not found",
                ErrorKind::Invalid,
            ),
            (500, "unable to find user nouser: no matching entries in passwd file", ErrorKind::Invalid),
            (500, "statfs /tmp/gone: no such file or directory", ErrorKind::Invalid),
            (500, "something new", ErrorKind::Other),
        ];
        for (status, message, kind) in cases {
            let status = StatusCode::from_u16(*status).unwrap();
            assert_eq!(&classify(status, message), kind, "{message}");
        }
    }

    #[test]
    fn kinds_of_failed_pulls() {
        let cases = [
            (
                "initializing source docker://h/x:1: reading manifest 1 in h/x: manifest unknown",
                ErrorKind::ImageMissing,
            ),
            (
                "initializing source docker://nope:1: reading manifest 1 in docker.io/library/nope: errors: denied: \
                 requested access to the resource is denied unauthorized: authentication required",
                ErrorKind::ImageMissing,
            ),
            (
                "pinging container registry localhost:5055: Get \"http://localhost:5055/v2/\": dial tcp \
                 127.0.0.1:5055: connect: connection refused",
                ErrorKind::Unavailable,
            ),
            ("dial tcp: lookup registry.invalid on 10.0.0.1:53: no such host", ErrorKind::Unavailable),
            ("writing blob: storing blob: no space left on device", ErrorKind::DiskFull),
        ];
        for (message, kind) in cases {
            assert_eq!(pull_kind(message), kind, "{message}");
        }
    }

    #[test]
    fn repeated_causes_are_dropped() {
        assert_eq!(unrepeated("a b: no such volume: no such volume"), "a b: no such volume");
        assert_eq!(unrepeated("a: b"), "a: b");
        assert_eq!(unrepeated("plain"), "plain");
    }

    #[test]
    fn connection_errors() {
        let denied = Failure::Connect(io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(denied.kind(), ErrorKind::Denied);
        let missing = Failure::Connect(io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(missing.kind(), ErrorKind::Unavailable);
        assert_eq!(Failure::Late.kind(), ErrorKind::Timeout);
    }
}
