//! What is private stays private: files, sockets, and passwords.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tanuki_integration::engines::Engine;
use tanuki_integration::project::Project;

on_every_engine!(files_and_passwords_stay_private);

const SECRET: &str = "hush-7c1f0b9e-hush";

async fn files_and_passwords_stay_private(engine: Engine) {
    let config = format!(
        "\
services:
  postgres:
    image: tanuki-test/postgres:15
    pull_policy: never
    environment: {{ POSTGRES_PASSWORD: {SECRET} }}
  redis:
    image: tanuki-test/redis:7
    pull_policy: never
"
    );
    let mut project = Project::new(engine, &config).await.of_another_user();
    // As careless as a user can be.
    project.env.insert("TANUKI_LOG".into(), "trace".into());
    let done = AtomicBool::new(false);
    let busy = async {
        let _planned = project.tanuki(&["plan"]).await.ok().never_says(SECRET);
        let _started = project.start().await.never_says(SECRET);
        let _answer = project.sql("select 1").await;
        let _answer = project.tanuki(&["service", "restart", "postgres"]).await.ok().never_says(SECRET);
        done.store(true, Ordering::Relaxed);
    };
    let watch = async {
        while !done.load(Ordering::Relaxed) {
            if let Some(line) = argument_lists().find(|line| line.contains(SECRET)) {
                return Some(line);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        None
    };
    let ((), seen) = tokio::join!(busy, watch);
    assert_eq!(seen, None, "the password is in an argument list");

    for args in [
        &["plan"][..],
        &["events"],
        &["events", "-o", "json"],
        &["service", "status", "--wide"],
        &["service", "status", "-o", "json"],
        &["service", "env"],
        &["service", "env", "-o", "json"],
        &["service", "env", "--from", "host"],
        &["service", "logs", "postgres"],
        &["config", "show"],
        &["doctor"],
    ] {
        let outcome = project.tanuki(args).await;
        assert!([0, 1].contains(&outcome.code), "{outcome}");
        let _hidden = outcome.never_says(SECRET);
    }
    for args in [&["service", "env", "--show-secrets"][..], &["service", "env", "--export"]] {
        let _shown = project.tanuki(args).await.ok().says(&format!("POSTGRES_PASSWORD={SECRET}"));
    }

    let mine = project.objects().await;
    let labels = mine.containers.iter().map(|container| &container.labels);
    let labels = labels.chain(mine.networks.iter().map(|network| &network.labels));
    let labels = labels.chain(mine.volumes.iter().map(|volume| &volume.labels));
    for labels in labels {
        assert!(!labels.0.values().any(|value| value.contains(SECRET)), "{labels:?}");
    }

    let (mut files, mut sockets) = (0, 0);
    for top in [project.root.join(".tanuki/state"), project.base().join("run"), project.user_state()] {
        for path in everything_in(&top) {
            let metadata = std::fs::symlink_metadata(&path).unwrap();
            let mode = metadata.permissions().mode() & 0o777;
            let private = if metadata.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, private, "{}: {mode:o}", path.display());
            sockets += u32::from(metadata.file_type().is_socket());
            if metadata.is_file() {
                files += 1;
                let held = std::fs::read(&path).unwrap();
                let found = held.windows(SECRET.len()).any(|bytes| bytes == SECRET.as_bytes());
                assert!(!found, "{} holds the password", path.display());
            }
        }
    }
    assert!(files >= 4 && sockets == 1, "{files} files and {sockets} sockets were looked at");
}

/// Argument lists of all processes there are now.
fn argument_lists() -> impl Iterator<Item = String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
}

fn everything_in(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_owned()];
    let mut next = 0;
    while next < found.len() {
        if std::fs::symlink_metadata(&found[next]).unwrap().is_dir() {
            let entries = std::fs::read_dir(&found[next]).unwrap();
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
        next += 1;
    }
    found
}
