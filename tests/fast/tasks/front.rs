//! What a task file says, and how little of it is changed.

use proptest::prelude::*;
use tanuki::model::{Priority, TaskState};
use tanuki::tasks::front::{edit, parse};

const FULL: &str = "---\n# made by ann\nid: login\ntitle: \"Log in: with a form\"\nrole: backend\nworkstream: api\npriority: high\nstatus: pending   # of seven\ndepends_on: [schema, 'users']\nassigned_to:\ncompletion:\n  verify: cargo test login\n  signal: DONE\n  max_iterations: 5\ntags: [auth]\nestimate: 3d\n---\n\nMake it.\n\n---\n\nMore.\n";

#[test]
fn everything_a_file_can_say_is_read() {
    let parsed = parse(FULL);
    assert_eq!(parsed.flaws, []);
    let front = parsed.front.unwrap();
    assert_eq!((front.id.as_str(), front.title.as_str()), ("login", "Log in: with a form"));
    assert_eq!((front.role.as_deref(), front.workstream.as_deref()), (Some("backend"), Some("api")));
    assert_eq!((front.priority, front.status), (Priority::High, TaskState::Pending));
    assert_eq!(front.depends_on, ["schema", "users"]);
    assert_eq!(front.assigned_to, None);
    assert_eq!(front.completion.verify.as_deref(), Some("cargo test login"));
    assert_eq!(
        (front.completion.signal.as_deref(), front.completion.max_iterations),
        (Some("DONE"), Some(5))
    );
    assert_eq!(parsed.body, "Make it.\n\n---\n\nMore.");
}

#[test]
fn little_is_needed() {
    let front = parse("---\nid: 7\n---\n").front.unwrap();
    assert_eq!((front.id.as_str(), front.title.as_str(), front.status), ("7", "7", TaskState::Pending));
    let marked = parse("\u{feff}---\r\nid: a1\r\nstatus: review\r\n---\r\nbody\r\n");
    assert_eq!((marked.front.unwrap().status, marked.body.as_str()), (TaskState::Review, "body"));
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let tell = |text: &str| {
        let flaws = parse(text).flaws;
        let told =
            flaws.iter().map(|flaw| format!("{:?} {} ({})", flaw.line.unwrap_or(0), flaw.message, flaw.help));
        told.collect::<Vec<_>>().join("\n")
    };
    let cases = [
        "just text\n",
        "",
        "---\nid: a\n",
        "---\nid: a\ntitle: x: y\n---\n",
        "---\n- id\n---\n",
        "---\ntitle: no id\n---\n",
        "---\nid: a\nid: b\n---\n",
        "---\nid: \"a b\"\n---\n",
        "---\ntitle: t\nid: [1]\n---\n",
        "---\nid: a\nstatus: done\npriority: urgent\n---\n",
        "---\nid: a\ndepends_on: [b, a]\n---\n",
        "---\nid: a\nassigned_to: Bob\n---\n",
        "---\nid: a\ncompletion: always\n---\n",
        "---\nid: a\ncompletion: {max_iterations: 0}\n---\n",
        "---\nid: a\nrole: {x: 1}\n---\n",
    ];
    let told: String = cases.iter().map(|text| format!("{text:?}\n{}\n\n", tell(text))).collect();
    insta::assert_snapshot!(told);
}

#[test]
fn a_change_touches_its_own_value_only() {
    let cases: &[(&str, &str, Option<&str>, &str)] = &[
        (
            "---\nid: a\nstatus: pending\n---\nb",
            "status",
            Some("review"),
            "---\nid: a\nstatus: review\n---\nb",
        ),
        (
            "---\nid: a\nstatus:   'pending'  # why\n---\n",
            "status",
            Some("failed"),
            "---\nid: a\nstatus:   'failed'  # why\n---\n",
        ),
        (
            "---\r\nid: a\r\nstatus: pending\r\n---\r\n",
            "status",
            Some("review"),
            "---\r\nid: a\r\nstatus: review\r\n---\r\n",
        ),
        ("\u{feff}---\nid: a\n---\n", "status", Some("review"), "\u{feff}---\nid: a\nstatus: review\n---\n"),
        (
            "---\r\nid: a\r\n---\r\nx",
            "assigned_to",
            Some("api"),
            "---\r\nid: a\r\nassigned_to: api\r\n---\r\nx",
        ),
        (
            "---\nassigned_to:\nid: a\n---\n",
            "assigned_to",
            Some("api"),
            "---\nassigned_to: api\nid: a\n---\n",
        ),
        (
            "---\nassigned_to: # who\nid: a\n---\n",
            "assigned_to",
            Some("on"),
            "---\nassigned_to: \"on\" # who\nid: a\n---\n",
        ),
        (
            "---\nassigned_to: api # x\nid: a\n---\n",
            "assigned_to",
            None,
            "---\nassigned_to: # x\nid: a\n---\n",
        ),
        ("---\nassigned_to: api\nid: a\n---\n", "assigned_to", None, "---\nassigned_to:\nid: a\n---\n"),
        (
            "---\nstatus:\n  pending\n# c\nid: a\n---\n",
            "status",
            Some("failed"),
            "---\nstatus: failed\n# c\nid: a\n---\n",
        ),
        (
            "---\n\"status\": pending\nid: a\nmeta:\n  status: own\n---\n",
            "status",
            Some("failed"),
            "---\n\"status\": failed\nid: a\nmeta:\n  status: own\n---\n",
        ),
        (
            "---\nid: a\n---\nstatus: in the body\n---\n",
            "status",
            Some("failed"),
            "---\nid: a\nstatus: failed\n---\nstatus: in the body\n---\n",
        ),
    ];
    for (before, key, value, after) in cases {
        assert_eq!(edit(before, &[(key, *value)]).as_deref(), Ok(*after), "{before:?}");
    }
    assert!(edit("---\n{id: a, status: pending}\n---\n", &[("status", Some("failed"))]).is_err());
    assert!(edit("---\nid: a\nstatus: &s pending\nold: *s\n---\n", &[("status", Some("failed"))]).is_err());
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("# a comment: here".to_owned()),
        Just(String::new()),
        "x-[a-z]{1,5}: [a-z \"'#]{0,8}".prop_map(|line| line),
        Just("tags: [a, b]  # both".to_owned()),
        Just("notes: |\n  status: no\n  --- \n\n  end".to_owned()),
        Just("completion:\n  verify: \"true # yes\"".to_owned()),
    ]
}

proptest! {
    #[test]
    fn reading_never_panics(text in "(---\n)?(\\PC|\n|:|#|-| ){0,80}") {
        let _parsed = parse(&text);
        let _edited = edit(&text, &[("status", Some("failed"))]);
    }

    /// Whatever surrounds it: only the lines of the two keys differ, and the new values are read back.
    #[test]
    fn an_edit_keeps_every_other_byte(
        before in proptest::collection::vec(line(), 0..4),
        after in proptest::collection::vec(line(), 0..4),
        status in proptest::option::of(Just("status: pending # c")),
        crlf: bool,
        body in "[a-z\n#-]{0,40}",
    ) {
        let mut lines = vec!["---".to_owned()];
        lines.extend(before);
        lines.extend(status.map(ToOwned::to_owned));
        lines.push("id: a".to_owned());
        lines.extend(after);
        lines.push("---".to_owned());
        let end = if crlf { "\r\n" } else { "\n" };
        let text = lines.join("\n").replace('\n', end) + end + &body;
        prop_assume!(parse(&text).front.is_some());
        let edited = edit(&text, &[("status", Some("in_progress")), ("assigned_to", Some("api"))]);
        prop_assert!(edited.is_ok(), "{text:?}: {edited:?}");
        let edited = edited.unwrap();
        let front = parse(&edited).front.unwrap();
        prop_assert_eq!((front.status, front.assigned_to.as_deref()), (TaskState::InProgress, Some("api")));
        let restored = edited.replacen("status: in_progress", "status: pending", 1);
        let restored = restored.replacen(&format!("assigned_to: api{end}"), "", 1);
        let restored = if status.is_none() { restored.replacen(&format!("status: pending{end}"), "", 1) } else { restored };
        prop_assert_eq!(restored, text);
    }
}
