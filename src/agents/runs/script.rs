//! What runs inside the container beside the agent CLI, in the POSIX shell that is there.

/// Starts a program under a supervisor that outlives who started it. Arguments: the run's directory, the file the
/// program reads, program and arguments. Ends at once: 0 under way (also when it was before), 127 no such program.
///
/// In the directory: `claim` (made first, so that two starts are one), `pid`, `stdout`, `stderr`, and at the end
/// `exit`, written in one step. One agent has one run: what is left of others ends first.
pub(super) const START: &str = r#"
d=$1; in=$2; shift 2
umask 077
mkdir -p "$d" || exit 1
mkdir "$d/claim" 2>/dev/null || exit 0
if ! command -v "$1" >/dev/null 2>&1; then
  echo "$1: there is no such program in the image" >&2
  rmdir "$d/claim"
  exit 127
fi
# What another run of this agent has left at work, whose record was lost or whose end nobody could see to, ends first.
agent=${TANUKI_RUN%-*}
left() {
  for e in $(grep -lzE "^TANUKI_RUN=$agent-[0-9]+$" /proc/[0-9]*/environ 2>/dev/null); do
    # What looked is among them, and gone by now.
    v=$(tr '\0' '\n' 2>/dev/null <"$e" | grep -x "TANUKI_RUN=$agent-[0-9]*")
    [ -z "$v" ] || [ "$v" = "TANUKI_RUN=$TANUKI_RUN" ] || echo "$e" | tr -dc '0-9\n'
  done 2>/dev/null
}
n=0
while p=$(left) && [ -n "$p" ] && [ "$n" -lt 50 ]; do
  n=$((n + 1))
  if [ "$n" -gt 10 ]; then kill -KILL $p 2>/dev/null; else kill -TERM $p 2>/dev/null; fi
  sleep 0.1 2>/dev/null || sleep 1
done
body='
d=$1; in=$2; shift 2
echo $$ >"$d/pid.new" && mv -f "$d/pid.new" "$d/pid"
{ umask 022; "$@"; } <"$in" >>"$d/stdout" 2>>"$d/stderr"
echo $? >"$d/exit.new" && mv -f "$d/exit.new" "$d/exit"
'
if command -v setsid >/dev/null 2>&1; then
  setsid sh -c "$body" tanuki-run "$d" "$in" "$@" </dev/null >/dev/null 2>&1 &
else
  sh -c "$body" tanuki-run "$d" "$in" "$@" </dev/null >/dev/null 2>&1 &
fi
n=0
while [ ! -e "$d/pid" ]; do
  n=$((n + 1))
  [ "$n" -gt 500 ] && { echo "the run did not begin" >&2; exit 1; }
  sleep 0.02 2>/dev/null || { n=$((n + 49)); sleep 1; }
done
"#;

/// Processes of a run are those that have its id in their environment, whatever session or parent they have. The rest
/// of the scripts below takes the id as first argument.
const MINE: &str = r#"
id=$1
if printf 'a\0b\0' | grep -qzxF b 2>/dev/null; then
  mine() {
    grep -lzxF "TANUKI_RUN=$id" /proc/[0-9]*/environ 2>/dev/null | tr -dc '0-9\n'
  }
else
  mine() {
    for p in /proc/[0-9]*; do
      p=${p#/proc/}
      tr '\0' '\n' 2>/dev/null <"/proc/$p/environ" | grep -qxF "TANUKI_RUN=$id" && echo "$p"
    done 2>/dev/null
  }
fi
"#;

const ALIVE: &str = r#"
[ -n "$(mine)" ]
"#;

const END: &str = r#"
d=$2; rounds=$3
group=$(cat "$d/pid" 2>/dev/null)
case $group in
  ''|*[!0-9]*) group= ;;
  *) mine | grep -qxF "$group" || group= ;;
esac
signal() {
  [ -n "$group" ] && kill "-$1" "-$group" 2>/dev/null
  for p in $(mine); do kill "-$1" "$p" 2>/dev/null; done
}
[ -z "$(mine)" ] && exit 0
signal TERM
while [ "$rounds" -gt 0 ] && [ -n "$(mine)" ]; do
  rounds=$((rounds - 1))
  sleep 0.1 2>/dev/null || sleep 1
done
n=0
while [ -n "$(mine)" ]; do
  n=$((n + 1))
  [ "$n" -gt 50 ] && { echo "processes of the run do not end" >&2; exit 1; }
  signal KILL
  sleep 0.1 2>/dev/null || sleep 1
done
[ -n "$group" ] && kill -KILL "-$group" 2>/dev/null
exit 0
"#;

/// Succeeds as long as a process of the run lives. Argument: the run's id.
pub(super) fn alive() -> String {
    format!("{MINE}{ALIVE}")
}

/// Ends every process of a run: asks, waits so many tenths of a second, then kills. Arguments: the run's id, its
/// directory, tenths of a second.
pub(super) fn end() -> String {
    format!("{MINE}{END}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Command, Output};

    use super::*;

    fn start(dir: &Path, id: &str, words: &[&str]) -> Output {
        let (dir, input) = (dir.to_str().unwrap(), "/dev/null");
        let mut command = Command::new("sh");
        command.args(["-c", START, "tanuki", dir, input]).args(words).env("TANUKI_RUN", id).output().unwrap()
    }

    fn script(text: &str, words: &[&str]) -> Output {
        Command::new("sh").args(["-c", text, "tanuki"]).args(words).output().unwrap()
    }

    fn wait(what: impl Fn() -> bool) {
        for _ in 0..200 {
            if what() {
                return;
            }
            drop(Command::new("sleep").arg("0.05").status());
        }
        panic!("it did not come to pass");
    }

    #[test]
    fn a_supervised_program_leaves_output_and_exit_code() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("1");
        let words = ["sh", "-c", "echo out; echo err >&2; exit 3"];
        assert!(start(&run, "script-a-1", &words).status.success());
        wait(|| run.join("exit").exists());
        // A second start of the same, as after a lost answer.
        assert!(start(&run, "script-a-1", &words).status.success());
        let read = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
        assert_eq!(
            (read("stdout").as_str(), read("stderr").as_str(), read("exit").as_str()),
            ("out\n", "err\n", "3\n")
        );
        assert_eq!(start(&dir.path().join("2"), "script-a-2", &["no-such-program"]).status.code(), Some(127));
    }

    #[test]
    fn what_another_run_of_the_agent_has_left_ends_before_a_run_begins() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let stubborn = "trap '' TERM; while :; do sleep 1; done";
        assert!(start(&at("1"), "script-c-1", &["sh", "-c", stubborn]).status.success());
        assert!(start(&at("other"), "script-c-d-1", &["sleep", "300"]).status.success());
        assert!(start(&at("2"), "script-c-2", &["sleep", "300"]).status.success());
        let lives = |id: &str| script(&alive(), &[id]).status.success();
        assert_eq!(["script-c-1", "script-c-2", "script-c-d-1"].map(lives), [false, true, true]);
        for (id, place) in [("script-c-2", "2"), ("script-c-d-1", "other")] {
            assert!(script(&end(), &[id, at(place).to_str().unwrap(), "1"]).status.success());
        }
    }

    #[test]
    fn nothing_of_a_run_is_left_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("1"), dir.path().join("2"));
        // A child that ignores the polite signal, and one in a session of its own.
        let stubborn = "trap '' TERM; setsid sleep 300 & sleep 300 & while :; do sleep 1; done";
        assert!(start(&one, "script-b-1", &["sh", "-c", stubborn]).status.success());
        assert!(start(&two, "script-b-1-0", &["sleep", "300"]).status.success());
        assert!(script(&alive(), &["script-b-1"]).status.success());
        let ended = script(&end(), &["script-b-1", one.to_str().unwrap(), "3"]);
        assert!(ended.status.success(), "{ended:?}");
        assert!(!script(&alive(), &["script-b-1"]).status.success());
        assert!(script(&alive(), &["script-b-1-0"]).status.success(), "another run was ended");
        assert!(!one.join("exit").exists());
        assert!(script(&end(), &["script-b-1-0", two.to_str().unwrap(), "1"]).status.success());
    }
}
