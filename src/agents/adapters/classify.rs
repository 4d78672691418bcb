//! What kind of trouble an agent CLI met, from a status or from words.

use crate::model::RunFailure;

/// Statuses that are told apart.
const STATUSES: [u16; 13] = [400, 401, 402, 403, 404, 408, 429, 500, 502, 503, 504, 522, 529];

/// The kind of an error, from the status where there is one, else from what the text says.
pub(super) fn classify(text: &str, status: Option<u64>) -> RunFailure {
    let text = text.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let status = status.and_then(|status| u16::try_from(status).ok()).or_else(|| status_in(&text));
    let quota = [
        "quota",
        "usage limit",
        "credit balance",
        "billing",
        "spend limit",
        "limit reached",
        "out of credits",
    ];
    match status {
        Some(402) => return RunFailure::Quota,
        Some(403 | 429) if says(&quota) => return RunFailure::Quota,
        Some(401 | 403) => return RunFailure::Auth,
        Some(429) => return RunFailure::RateLimit,
        Some(408 | 504 | 522) => return RunFailure::Unreachable,
        Some(500..=599) => return RunFailure::Overloaded,
        _ => {}
    }
    if says(&quota) {
        RunFailure::Quota
    } else if says(&["rate limit", "rate_limit", "too many requests", "resource_exhausted"]) {
        RunFailure::RateLimit
    } else if says(&[
        "not logged in",
        "/login",
        "unauthenticated",
        "unauthorized",
        "authentication",
        "failed to authenticate",
        "api key",
        "api_key",
        "missing environment variable",
        "no auth",
        "auth method",
    ]) {
        RunFailure::Auth
    } else if says(&[
        "overloaded",
        "high demand",
        "internal server error",
        "service unavailable",
        "bad gateway",
    ]) {
        RunFailure::Overloaded
    } else if says(&[
        "connection refused",
        "connection failed",
        "connection error",
        "econnrefused",
        "econnreset",
        "enotfound",
        "etimedout",
        "eai_again",
        "error sending request",
        "fetch failed",
        "unable to connect",
        "cannot connect",
        "stream disconnected",
        "timed out",
        "network error",
        "dns error",
    ]) {
        RunFailure::Unreachable
    } else {
        RunFailure::Other
    }
}

/// A status among the words of an error.
fn status_in(text: &str) -> Option<u16> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.len() == 3)
        .filter_map(|word| word.parse().ok())
        .find(|status| STATUSES.contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_real_clients_are_told_apart() {
        use RunFailure::{Auth, Other, Overloaded, Quota, RateLimit, Unreachable};
        let table = [
            ("API Error: Request rejected (429) · slow down", None, RateLimit),
            ("Claude AI usage limit reached", None, Quota),
            ("unexpected status 429 Too Many Requests: you exceeded your current quota", None, Quota),
            ("Failed to authenticate. API Error: 403 no", None, Auth),
            ("Not logged in · Please run /login", None, Auth),
            (r#"[API Error: {"error":{"code":401,"message":"x","status":"UNAUTHENTICATED"}}]"#, None, Auth),
            ("unexpected status 500 Internal Server Error: x", None, Overloaded),
            ("anything", Some(529), Overloaded),
            ("We're currently experiencing high demand, which may cause errors.", None, Overloaded),
            ("Connection failed: error sending request", None, Unreachable),
            ("API Error: Connection refused — a firewall or proxy", None, Unreachable),
            ("Your credit balance is too low", Some(400), Quota),
            ("prompt is too long: 4011 tokens", Some(400), Other),
        ];
        for (text, status, expected) in table {
            assert_eq!(classify(text, status), expected, "{text}");
        }
    }
}
