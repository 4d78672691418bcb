//! Carries out probes: inside the container through the engine, over HTTP from here, or by reading the log.

use std::time::Duration;

use futures_util::StreamExt;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use regex_lite::Regex;
use tanuki_runtimes::{ContainerRuntime, LogOptions, ProbeResult};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::probe;
use crate::model::{ObservedContainer, Probe, ProbeVerdict, ServiceSpec, Time};

/// Most characters of a probe's output that are kept.
const OUTPUT: usize = 500;

/// Probes once and says how it went; ends within about the service's probe timeout.
pub(super) async fn probe(
    runtime: &dyn ContainerRuntime,
    spec: &ServiceSpec,
    container: &ObservedContainer,
    started_at: Time,
) -> (ProbeVerdict, String) {
    let limit = spec.health.timeout;
    if let Some(command) = probe::command(spec) {
        let (verdict, output) = in_container(runtime, &container.id, &command, limit).await;
        return (verdict, clean(&output));
    }
    let outcome = match &spec.probe {
        Probe::Http { port, path } => match container.host_port(*port) {
            Some(host) => timeout(limit, http(host, path)).await,
            None => Ok((ProbeVerdict::Unknown, format!("port {port} is not published on the host"))),
        },
        Probe::Log(pattern) => timeout(limit, log(runtime, &container.id, pattern, started_at)).await,
        Probe::Builtin | Probe::Disabled | Probe::Exec(_) | Probe::Shell(_) | Probe::Tcp(_) => {
            Ok((ProbeVerdict::Success, String::new()))
        }
    };
    let (verdict, output) = outcome.unwrap_or_else(|_elapsed| (ProbeVerdict::Failure, timed_out(limit)));
    (verdict, clean(&output))
}

async fn in_container(
    runtime: &dyn ContainerRuntime,
    id: &str,
    command: &[String],
    limit: Duration,
) -> (ProbeVerdict, String) {
    // The command limits itself; the engine's round trip comes on top.
    match runtime.probe(id, command, limit + Duration::from_secs(1)).await {
        Ok(output) => match output.result {
            ProbeResult::Exited(0) => (ProbeVerdict::Success, output.output),
            ProbeResult::Exited(137) => (ProbeVerdict::Failure, timed_out(limit)),
            ProbeResult::Exited(code) if output.output.trim().is_empty() => {
                (ProbeVerdict::Failure, format!("exit code {code}"))
            }
            ProbeResult::Exited(_) => (ProbeVerdict::Failure, output.output),
            ProbeResult::TimedOut => (ProbeVerdict::Failure, timed_out(limit)),
        },
        // The engine could not run it: that says nothing about the service.
        Err(error) => (ProbeVerdict::Unknown, error.to_string()),
    }
}

fn timed_out(limit: Duration) -> String {
    format!("no answer within {}", humantime::format_duration(limit))
}

async fn http(port: u16, path: &str) -> (ProbeVerdict, String) {
    let attempt = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let connection = tokio::spawn(connection);
        let request = hyper::Request::get(path)
            .header(hyper::header::HOST, format!("127.0.0.1:{port}"))
            .header(hyper::header::USER_AGENT, "tanuki-probe")
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let answer = sender.send_request(request).await;
        connection.abort();
        answer.map(|answer| answer.status()).map_err(|error| error.to_string())
    };
    match attempt.await {
        Ok(status) if status.as_u16() < 400 => (ProbeVerdict::Success, format!("HTTP {status}")),
        Ok(status) => (ProbeVerdict::Failure, format!("HTTP {status}")),
        Err(error) => (ProbeVerdict::Failure, error),
    }
}

async fn log(
    runtime: &dyn ContainerRuntime,
    id: &str,
    pattern: &str,
    started_at: Time,
) -> (ProbeVerdict, String) {
    let regex = match Regex::new(pattern) {
        Ok(regex) => regex,
        Err(error) => return (ProbeVerdict::Unknown, error.to_string()),
    };
    // Some engines only know whole seconds.
    let since = (started_at - Duration::from_secs(1)).into();
    let options = LogOptions { follow: false, tail: None, since: Some(since) };
    let mut lines = match runtime.logs(id, &options).await {
        Ok(lines) => lines,
        Err(error) => return (ProbeVerdict::Unknown, error.to_string()),
    };
    while let Some(line) = lines.next().await {
        match line {
            Ok(line) => {
                let text = String::from_utf8_lossy(&line.bytes);
                if regex.is_match(&text) {
                    return (ProbeVerdict::Success, text.into_owned());
                }
            }
            Err(error) => return (ProbeVerdict::Unknown, error.to_string()),
        }
    }
    (ProbeVerdict::Failure, format!("no line of output matches /{pattern}/ yet"))
}

/// One short line without control characters: it is shown in tables and on terminals.
fn clean(output: &str) -> String {
    let words: Vec<&str> =
        output.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    let text = words.join(" ");
    match text.char_indices().nth(OUTPUT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
