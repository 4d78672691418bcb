//! Images: Docker's way to read a short name, and pulls.

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use podman_api::opts::PullOpts;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::error::{Failure, pull_kind};
use super::http::encoded;
use super::{Podman, READ, wire, within};
use crate::{Error, ErrorKind, Image, PullProgress, Result};

/// Records of a pull that wait for their reader.
const PENDING: usize = 64;

impl Podman {
    pub(super) async fn find_image(&self, reference: &str) -> Result<Option<Image>> {
        let Some(name) = self.local_image(reference).await? else { return Ok(None) };
        let image = self.api.images().get(encoded(&name));
        let told = match within(READ, image.inspect()).await {
            Ok(told) => told,
            // Removed in between.
            Err(failure) if is_absent(&failure) => return Ok(None),
            Err(failure) => return Err(failure.at("inspect image", reference)),
        };
        let config = told.config;
        let env = config.as_ref().and_then(|config| config.env.as_ref());
        let ports = config.as_ref().and_then(|config| config.exposed_ports.as_ref());
        let mut exposed_ports: Vec<u16> = ports
            .iter()
            .flat_map(|ports| ports.keys())
            .filter_map(|port| port.strip_suffix("/tcp").unwrap_or(port).parse().ok())
            .collect();
        exposed_ports.sort_unstable();
        Ok(Some(Image {
            id: wire::digest(told.id.as_deref().unwrap_or_default()),
            env: env
                .iter()
                .flat_map(|env| env.iter())
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            exposed_ports,
        }))
    }

    /// The name the engine has the image under, if it has it.
    pub(super) async fn local_image(&self, reference: &str) -> Result<Option<String>> {
        for name in local_names(reference) {
            let image = self.api.images().get(encoded(&name));
            match within(READ, image.exists()).await {
                Ok(true) => return Ok(Some(name)),
                Ok(false) => {}
                // A name that cannot be one is not there either.
                Err(failure) if is_absent(&failure) => {}
                Err(failure) => return Err(failure.at("look for image", reference)),
            }
        }
        Ok(None)
    }

    /// Pulls in a task of its own, because podman-api's stream borrows its client; dropping the stream ends the task
    /// and with it the request.
    pub(super) fn pull_stream(&self, reference: &str) -> BoxStream<'static, Result<PullProgress>> {
        let (sender, receiver) = mpsc::channel(PENDING);
        let api = self.api.clone();
        let subject = reference.to_owned();
        let name = registry_name(reference);
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let images = api.images();
            let options = PullOpts::builder().reference(name).build();
            let mut reports = images.pull(&options);
            while let Some(report) = reports.next().await {
                let item = match report {
                    Ok(report) => match report.error.filter(|error| !error.is_empty()) {
                        Some(error) => Err(pull_error(&subject, error)),
                        None => match report.stream {
                            Some(line) => Ok(progress(&line)),
                            None => continue,
                        },
                    },
                    Err(error) => Err(match Failure::from(error) {
                        Failure::Api { message, .. } => pull_error(&subject, message),
                        failure => failure.at("pull image", &subject),
                    }),
                };
                let last = item.is_err();
                // Nobody reads any more, or there is nothing more to say.
                if sender.send(item).await.is_err() || last {
                    return;
                }
            }
        }));
        stream::unfold((receiver, task), |(mut receiver, task)| async move {
            receiver.recv().await.map(|item| (item, (receiver, task)))
        })
        .boxed()
    }
}

fn pull_error(reference: &str, message: String) -> Error {
    Error::new(pull_kind(&message), "pull image", reference, message)
}

fn is_absent(failure: &Failure) -> bool {
    matches!(failure.kind(), ErrorKind::NotFound | ErrorKind::ImageMissing)
}

/// `Copying blob sha256:…` into layer and status; other lines are about the whole image.
fn progress(line: &str) -> PullProgress {
    let line = line.trim();
    let (status, layer) = match line.split_once(" sha256:") {
        Some((status, digest)) => (status, digest.split_whitespace().next().unwrap_or_default()),
        None => (line, ""),
    };
    PullProgress { layer: layer.chars().take(12).collect(), status: status.to_owned(), bytes: None }
}

/// Whether the reference starts with a registry, as Docker tells it: the part before the first slash has a dot or a
/// port, or is `localhost`.
fn has_registry(reference: &str) -> bool {
    reference.split_once('/').is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost")
}

/// The reference with the registry Docker would take.
fn qualified(reference: &str) -> String {
    if has_registry(reference) {
        reference.to_owned()
    } else if reference.contains('/') {
        format!("docker.io/{reference}")
    } else {
        format!("docker.io/library/{reference}")
    }
}

/// What to ask a registry for: with a registry, and with a tag where there is neither tag nor digest.
fn registry_name(reference: &str) -> String {
    let name = qualified(reference);
    let last = name.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) { name } else { format!("{name}:latest") }
}

/// The names to look for locally, the first that is there wins: a local build before Docker's registry, so that the
/// same file works on both engines; at last the reference itself, which may be an id or an alias of Podman's.
fn local_names(reference: &str) -> Vec<String> {
    if has_registry(reference) || reference.starts_with("sha256:") {
        return vec![reference.to_owned()];
    }
    vec![format!("localhost/{reference}"), qualified(reference), reference.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_a_registry() {
        let cases = [
            ("postgres", "docker.io/library/postgres:latest"),
            ("postgres:16", "docker.io/library/postgres:16"),
            ("acme/app", "docker.io/acme/app:latest"),
            ("ghcr.io/acme/app:1", "ghcr.io/acme/app:1"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("localhost/app:1", "localhost/app:1"),
            ("postgres@sha256:12", "docker.io/library/postgres@sha256:12"),
        ];
        for (reference, name) in cases {
            assert_eq!(registry_name(reference), name);
        }
    }

    #[test]
    fn local_names_prefer_local_builds() {
        assert_eq!(
            local_names("tanuki-test/postgres:15"),
            [
                "localhost/tanuki-test/postgres:15",
                "docker.io/tanuki-test/postgres:15",
                "tanuki-test/postgres:15"
            ]
        );
        assert_eq!(local_names("ghcr.io/a/b"), ["ghcr.io/a/b"]);
        assert_eq!(local_names("sha256:ab"), ["sha256:ab"]);
    }

    #[test]
    fn progress_lines() {
        let blob = progress("Copying blob sha256:0123456789abcdef0123\n");
        assert_eq!((blob.layer.as_str(), blob.status.as_str()), ("0123456789ab", "Copying blob"));
        let whole = progress("Writing manifest to image destination\n");
        assert_eq!(
            (whole.layer.as_str(), whole.status.as_str()),
            ("", "Writing manifest to image destination")
        );
    }
}
