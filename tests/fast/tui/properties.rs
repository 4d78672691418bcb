//! What holds whatever happens: no panic, no line wider than the screen, a selection that is there.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use tanuki::controller::HandleError;
use tanuki::model::{Accepted, AgentState, OutputKind, OutputLine, Rejected, Snapshot, TaskState, Time};
use tanuki::tui::{Change, Effect, Event, Pane};

use super::scene::{NOW, Scene, agent, busy, failing, line, task};

/// What happens in a test.
#[derive(Debug, Clone)]
enum Happening {
    Key(KeyEvent),
    Paste(String),
    Resize(u16, u16),
    Output(Vec<(Option<u64>, String)>),
    Ended,
    Answer(Option<String>),
    Agents(Vec<(String, u8)>),
    Tasks(Vec<(String, String, u8)>),
    Snapshot(bool),
    Down,
    Up,
}

fn key() -> impl Strategy<Value = KeyEvent> {
    let letters = "jkgGhlqrsSaxdmRcoufFApwtnNzH:?/ y1234[]{}é日".chars().collect::<Vec<_>>();
    let code = prop_oneof![
        8 => prop::sample::select(letters).prop_map(KeyCode::Char),
        4 => prop::sample::select(vec![
            KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::BackTab, KeyCode::Up, KeyCode::Down, KeyCode::Left,
            KeyCode::Right, KeyCode::PageUp, KeyCode::PageDown, KeyCode::Home, KeyCode::End, KeyCode::Backspace,
            KeyCode::Delete,
        ]),
    ];
    let modifiers = prop_oneof![6 => Just(KeyModifiers::NONE), 1 => Just(KeyModifiers::CONTROL), 1 => Just(KeyModifiers::ALT)];
    (code, modifiers).prop_map(|(code, modifiers)| KeyEvent::new(code, modifiers))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,40}",
        "\\PC{0,30}",
        Just("日本語👩‍👩‍👧e\u{301}\u{200b}\t|".repeat(20)),
        Just("\x1b[31m\x1b]0;t\x07\r\n\u{202e}\u{9b}".to_owned()),
        any::<String>(),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    let size = prop_oneof![3 => (1u16..200, 1u16..70), 1 => (1u16..30, 1u16..8)];
    let output = prop::collection::vec((prop::option::of(0u64..5), text()), 0..40);
    prop_oneof![
        20 => key().prop_map(Happening::Key),
        1 => text().prop_map(Happening::Paste),
        3 => size.prop_map(|(columns, rows)| Happening::Resize(columns, rows)),
        4 => output.prop_map(Happening::Output),
        1 => Just(Happening::Ended),
        4 => prop::option::of(text()).prop_map(Happening::Answer),
        2 => prop::collection::vec(("[a-z日]{1,8}", 0u8..8), 0..12).prop_map(Happening::Agents),
        2 => prop::collection::vec(("[A-Z0-9-]{1,30}", text(), 0u8..7), 0..40).prop_map(Happening::Tasks),
        1 => any::<bool>().prop_map(Happening::Snapshot),
        1 => Just(Happening::Down),
        1 => Just(Happening::Up),
    ]
}

fn happen(scene: &mut Scene, happening: Happening) {
    let event = match happening {
        Happening::Key(key) => Event::Key(key),
        Happening::Paste(text) => Event::Paste(text),
        Happening::Resize(columns, rows) => {
            scene.size = (columns, rows);
            Event::Resized(columns, rows)
        }
        Happening::Output(lines) => {
            let Some(stream) = any_stream(scene) else { return };
            let lines = lines.into_iter().map(|(seconds, text)| OutputLine {
                time: seconds.map(|seconds| Time(NOW.0 + seconds)),
                ..line(0, OutputKind::Text, &text)
            });
            Event::Lines { stream, lines: lines.collect() }
        }
        Happening::Ended => match any_stream(scene) {
            Some(stream) => Event::Ended { stream },
            None => return,
        },
        Happening::Answer(text) => {
            let asked = scene.effects.iter().rev().find_map(|effect| match effect {
                Effect::Ask { ticket, .. } => Some(*ticket),
                _ => None,
            });
            let Some(ticket) = asked else { return };
            let answer = match text {
                Some(text) if text.len() % 3 == 0 => {
                    Err(HandleError::Rejected(Rejected::NotPossible { message: text }))
                }
                Some(text) => Ok(Accepted {
                    text: format!("diff --git a/{text} b/{text}\n@@\n+{text}"),
                    ..Accepted::default()
                }),
                None => Err(HandleError::Gone),
            };
            Event::Answered { ticket, answer: Box::new(answer) }
        }
        Happening::Agents(agents) => {
            scene.snapshot.agents.clear();
            for (name, state) in agents {
                let states = [AgentState::Idle, AgentState::Working, AgentState::Lost, AgentState::Stopped];
                let state = states[usize::from(state) % states.len()];
                scene.snapshot.agents.insert(name.clone(), agent(&name, state, None));
            }
            Event::Changed
        }
        Happening::Tasks(tasks) => {
            scene.snapshot.tasks.clear();
            for (id, title, state) in tasks {
                let state = TaskState::ALL[usize::from(state)];
                let task = task(&id, &title, state, &title, None);
                scene.snapshot.tasks.insert(id, Arc::new(task));
            }
            Event::Changed
        }
        Happening::Snapshot(fails) => {
            scene.snapshot = if fails { failing() } else { busy() };
            Event::Changed
        }
        Happening::Down => Event::Down("it ended".into()),
        Happening::Up => Event::Up,
    };
    scene.feed(event);
}

fn any_stream(scene: &Scene) -> Option<u64> {
    scene.effects.iter().rev().find_map(|effect| match effect {
        Effect::Stream(Change::Open { stream, .. }) => Some(*stream),
        _ => None,
    })
}

/// What must hold between any two events.
fn check(scene: &Scene) {
    let snapshot: &Snapshot = &scene.snapshot;
    let selected = |pane| scene.state.selected(pane);
    assert!(selected(Pane::Agents).is_none_or(|name| snapshot.agents.contains_key(name)));
    assert!(selected(Pane::Tasks).is_none_or(|id| snapshot.tasks.contains_key(id)));
    assert!(selected(Pane::Services).is_none_or(|name| snapshot.services.contains_key(name)));
    let terminal = scene.terminal();
    let buffer = terminal.backend().buffer();
    for y in 0..scene.size.1 {
        let mut columns = 0;
        while columns < scene.size.0 {
            let symbol = buffer[(columns, y)].symbol();
            assert!(!symbol.chars().any(char::is_control), "{symbol:?}");
            let width = u16::try_from(unicode_width::UnicodeWidthStr::width(symbol).max(1)).unwrap();
            for covered in columns + 1..(columns + width).min(scene.size.0) {
                assert_eq!(buffer[(covered, y)].symbol(), " ", "{symbol:?} covers something");
            }
            columns += width;
        }
        assert_eq!(columns, scene.size.0, "a line is wider than the screen");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_screen_stays_whole(happenings in prop::collection::vec(happening(), 1..60)) {
        let mut scene = Scene::new(busy(), (80, 24));
        for happening in happenings {
            happen(&mut scene, happening);
            check(&scene);
        }
    }
}
