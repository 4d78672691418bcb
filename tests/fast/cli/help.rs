//! What can be typed, in the words people see.

use clap::CommandFactory as _;
use tanuki::cli::Cli;

#[test]
fn the_definitions_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_explains_itself() {
    let mut text = String::new();
    pages(Cli::command().term_width(100), "tanuki", &mut text);
    insta::assert_snapshot!(text);
}

fn pages(mut command: clap::Command, path: &str, text: &mut String) {
    let help = command.render_long_help().to_string();
    // The same everywhere: shown once, at the top.
    let help = if path == "tanuki" { &help } else { help.split("Global options:").next().unwrap() };
    text.push_str(&format!("=== {path} ===\n{}\n\n", help.trim_end()));
    command.build();
    let visible: Vec<clap::Command> = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
        .cloned()
        .collect();
    for sub in visible {
        let path = format!("{path} {}", sub.get_name());
        pages(sub.term_width(100), &path, text);
    }
}

#[test]
fn help_speaks_of_what_a_command_does() {
    fn check(command: &clap::Command, path: &str) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name());
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            let verb = about.split([' ', ',']).next().unwrap_or_default();
            assert!(verb.ends_with('s'), "{path}: '{about}' does not begin with a verb in the third person");
            for argument in sub.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{path}: {} has no help", argument.get_id());
            }
            check(sub, &path);
        }
    }
    check(&Cli::command(), "tanuki");
}
