//! What output is asked for, as the query of a URL: `agent=api&agent=web&follow=true&tail=100`.

use form_urlencoded::Serializer;

use crate::model::{LogQuery, Time};

/// A query as text.
pub(super) fn write(query: &LogQuery) -> String {
    let mut text = Serializer::new(String::new());
    for agent in &query.agents {
        text.append_pair("agent", agent);
    }
    let LogQuery { agents: _, service, run, follow, tail, since, raw } = query;
    for (key, value) in [("service", service), ("run", run)] {
        if let Some(value) = value {
            text.append_pair(key, value);
        }
    }
    for (key, value) in [("tail", tail.map(u64::from)), ("since", since.map(|since| since.0))] {
        if let Some(value) = value {
            text.append_pair(key, &value.to_string());
        }
    }
    for (key, value) in [("follow", follow), ("raw", raw)] {
        if *value {
            text.append_pair(key, "true");
        }
    }
    text.finish()
}

/// Reads a query's text.
///
/// # Errors
///
/// What is wrong with it, for people.
pub(super) fn read(text: &str) -> Result<LogQuery, String> {
    let mut query = LogQuery::default();
    for (key, value) in form_urlencoded::parse(text.as_bytes()) {
        let wrong = || format!("'{value}' is no value of '{key}'");
        match key.as_ref() {
            "agent" => query.agents.push(value.into_owned()),
            "service" => query.service = Some(value.into_owned()),
            "run" => query.run = Some(value.into_owned()),
            "follow" => query.follow = value.parse().map_err(|_not_a_bool| wrong())?,
            "raw" => query.raw = value.parse().map_err(|_not_a_bool| wrong())?,
            "tail" => query.tail = Some(value.parse().map_err(|_not_a_number| wrong())?),
            "since" => query.since = Some(Time(value.parse().map_err(|_not_a_number| wrong())?)),
            _ => return Err(format!("there is no '{key}' to ask for")),
        }
    }
    Ok(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let query = LogQuery {
            agents: vec!["api".into(), "a&b=c d%".into()],
            service: Some("postgres".into()),
            run: Some("api-3".into()),
            follow: true,
            tail: Some(7),
            since: Some(Time(1_700_000_000_123)),
            raw: true,
        };
        assert_eq!(read(&write(&query)), Ok(query));
        assert_eq!(read(&write(&LogQuery::default())), Ok(LogQuery::default()));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert!(read("tail=many").is_err());
        assert!(read("agents=api").is_err());
    }
}
