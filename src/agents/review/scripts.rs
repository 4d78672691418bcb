//! What runs inside, as the agent's user. Only a POSIX shell and git are needed.
//!
//! The agent's own configuration may name programs; they would only run where the agent runs anyway, but they must not
//! change what comes out.

/// Functions of the scripts below. `pipes` names one that git would wait for: in its own directory, or where it looks
/// for lists of its own. `add_all` stages everything but files of more than 1 GiB, which `large` then names, one a line.
macro_rules! looking {
    () => {
        r#"pipes() {
  find . \( -path '*/.git/*' -o -name '.git*' \) \( -type p -o -type l -exec test -p {} \; \) -print 2>/dev/null |
    head -n 1
}
find_large() { find . -path ./.git -prune -o -type f -size +1048576k "$@"; }
add_all() {
  if [ -n "$(find_large -print | head -n 1)" ]; then
    { printf '.\0'; find_large -exec sh -c 'for f; do printf ":(exclude,literal)%s\0" "${f#./}"; done' sh {} +; } |
      git add --all --pathspec-from-file=- --pathspec-file-nul
  else
    git add --all
  fi
}
large() { find_large -print | head -n 10 | sed 's/^\.\///'; }
"#
    };
}

/// Prints everything the workspace has that a commit does not: `$1` is the commit, `$2` the most bytes, and the rest how
/// git is to show it. What is not committed is hashed into a place of its own that is gone afterwards. The last line on
/// standard error is [`DIRTY`] where there is something that is not committed.
pub(super) const DIFF: &str = concat!(
    looking!(),
    r#"set -eu
from=$1 most=$2
shift 2
pipe=$(pipes)
[ -z "$pipe" ] || { echo "$pipe is a pipe" >&2; exit 2; }
git() {
  command git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.quotePath=false \
    -c core.safecrlf=false -c advice.addEmbeddedRepo=false "$@"
}
tmp=$(mktemp -d /tmp/tanuki-diff.XXXXXX)
trap 'rm -rf "$tmp"' EXIT
base=$(git merge-base "$from" HEAD) || base=$from
cp "$(git rev-parse --git-path index)" "$tmp/index" 2>/dev/null || rm -f "$tmp/index"
objects=$(cd "$(git rev-parse --git-path objects)" && pwd)
mkdir "$tmp/objects"
export GIT_INDEX_FILE="$tmp/index" GIT_OBJECT_DIRECTORY="$tmp/objects"
export GIT_ALTERNATE_OBJECT_DIRECTORIES="$objects"
[ -f "$tmp/index" ] || git read-tree HEAD
add_all
large | sed 's/^/left out: /' >&2
{ code=0; git diff --cached "$@" "$base" -- || code=$?; echo "$code" >"$tmp/code"; } | head -c "$most"
code=$(cat "$tmp/code")
git diff --cached --quiet HEAD -- 2>/dev/null || echo dirty >&2
# Cut off by what reads it.
[ "$code" = 141 ] || exit "$code"
"#
);

/// See [`DIFF`].
pub(super) const DIRTY: &str = "dirty";

/// Ends with 1 where the workspace has work that is not committed. Takes no lock: the agent may be at work.
pub(super) const CLEAN: &str = concat!(
    looking!(),
    r#"set -eu
pipe=$(pipes)
[ -z "$pipe" ] || { echo "$pipe is a pipe" >&2; exit 2; }
git() { command git --no-optional-locks -c core.hooksPath=/dev/null -c core.fsmonitor=false "$@"; }
found=$(git status --porcelain --no-renames) || exit 2
[ -z "$found" ] || { printf '%s\n' "$found" | head -n 5; exit 1; }
"#
);

/// Commits everything on the agent's branch; the message comes on standard input, the branch is `$1`. Ends with 3
/// where there is nothing to commit, with 4 where the agent went on elsewhere in a way that does not follow from its
/// branch, and with 5 where the rest is committed but files are too large to be, and names them.
pub(in crate::agents) const COMMIT_ALL: &str = concat!(
    looking!(),
    r#"set -e
pipe=$(pipes)
[ -z "$pipe" ] || { echo "$pipe is a pipe" >&2; exit 2; }
git() { command git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c commit.gpgSign=false "$@"; }
add_all
done=3
if ! git diff --cached --quiet; then git commit --quiet --no-verify --file=-; done=0; fi
if [ "$(git symbolic-ref --quiet HEAD)" != "refs/heads/$1" ]; then
  git merge-base --is-ancestor "refs/heads/$1" HEAD || exit 4
  git update-ref "refs/heads/$1" HEAD
fi
large=$(large)
[ -z "$large" ] || { echo "$large" >&2; exit 5; }
exit $done
"#
);

/// Runs a command on the files of a commit, in a place of its own: `$1` is the commit, `$2` the command. Ends with 125
/// where it does not come to that.
pub(super) const VERIFY: &str = r#"set -u
workspace=$(pwd)
git() { command git -c core.hooksPath=/dev/null -c core.fsmonitor=false "$@"; }
tmp=$(mktemp -d "${TMPDIR:-/tmp}/tanuki-verify.XXXXXX") || exit 125
clear() { cd "$workspace"; git worktree remove --force "$tmp/files" >/dev/null 2>&1; rm -rf "$tmp"; git worktree prune; }
trap clear EXIT
git worktree add --quiet --detach "$tmp/files" "$1" || exit 125
cd "$tmp/files" || exit 125
code=0
TANUKI_WORKSPACE=$tmp/files sh -c "$2" </dev/null || code=$?
[ "$code" != 125 ] || code=1
exit "$code"
"#;

/// Saves everything in the workspace as one commit in a repository of its own, and prints where that is. The message
/// comes on standard input.
///
/// `$1` is the branch, `$2` its commit as the project knows it, `$3` the kind of object ids, `$4` is `all` for
/// everything that was committed anywhere in the workspace and `tree` for its files alone, `$5` is `force` to leave out
/// what cannot be saved, and the rest are directories of objects. Ends with 5 where something cannot be read and with 6
/// where files are too large, and names them.
pub(super) const SAVE: &str = r#"set -eu
branch=$1 known=$2 format=$3 mode=$4 force=$5
shift 5
top=$(pwd)
most=1048576
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_LITERAL_PATHSPECS=1
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
tmp=$(mktemp -d /tmp/tanuki-rescue.XXXXXX)
kept=
trap '[ -n "$kept" ] || rm -rf "$tmp"' EXIT
store=$tmp/git
git init --quiet --bare --template= --object-format="$format" "$store"
mkdir -p "$store/info" "$store/objects/info"
printf '* -text -filter -ident -working-tree-encoding\n' >"$store/info/attributes"
# What git might wait for, or be led away by, is not read.
if [ -n "$(find .git \( -type p -o -type l \) 2>/dev/null | head -n 1)" ]; then
  mode=tree
  echo .git >>"$tmp/left-out"
else
  set -- "$@" "$top/.git/objects"
  [ ! -f "$top/.git/info/exclude" ] || cat "$top/.git/info/exclude" >"$store/info/exclude"
fi
for objects in "$@"; do
  [ ! -d "$objects" ] || printf '%s\n' "$objects" >>"$store/objects/info/alternates"
done
# An agent's own lists, which git would wait for. There is nothing in a pipe to be saved.
pipes=$(find . -path ./.git -prune -o \( -path '*/.git/*' -o -name '.git*' \) \( -type p -o -type l -exec test -p {} \; \) -print)
if [ -n "$pipes" ]; then
  [ "$force" = force ] || { printf '%s\n' "$pipes" >&2; exit 5; }
  find . -path ./.git -prune -o \( -path '*/.git/*' -o -name '.git*' \) \( -type p -o -type l -exec test -p {} \; \) -exec rm -f {} +
  printf '%s\n' "$pipes" >>"$tmp/left-out"
fi
large=$(find . -path ./.git -prune -o -type f -size +"$most"k -print)
if [ -n "$large" ]; then
  [ "$force" = force ] || { printf '%s\n' "$large" >&2; exit 6; }
  printf '%s\n' "$large" >>"$tmp/left-out"
  printf '%s\n' "$large" | sed 's/^\.//; s/[][*?\\ ]/\\&/g' >>"$store/info/exclude"
fi
kept() {
  git --git-dir="$store" --work-tree=. -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.quotePath=true \
    -c core.autocrlf=false -c core.bigFileThreshold=32m -c advice.addEmbeddedRepo=false "$@"
}
# A repository inside the workspace is saved as the files it has. In a shell of its own, for its index.
save() (
  cd "$1"
  GIT_INDEX_FILE=$(mktemp "$tmp/index.XXXXXX")
  export GIT_INDEX_FILE
  rm "$GIT_INDEX_FILE"
  [ -z "$2" ] || kept read-tree "$2"
  kept add --all --ignore-errors . 2>"$GIT_INDEX_FILE.said" || cat "$GIT_INDEX_FILE.said" >>"$tmp/unread"
  if [ -f .worktreeinclude ]; then
    kept ls-files -z --others --ignored --exclude-from=.worktreeinclude |
      kept add --force --pathspec-from-file=- --pathspec-file-nul
  fi
  kept ls-files --stage | sed -n 's/^160000 [0-9a-f]* 0	//p' >"$GIT_INDEX_FILE.inner"
  while IFS= read -r inner; do
    case $inner in \"*) echo "$inner" >>"$tmp/unread"; continue ;; esac
    # A submodule that was never filled has nothing to save.
    [ -e "$inner/.git" ] || continue
    tree=$(save "$inner" "")
    echo "$inner/.git" >>"$tmp/left-out"
    kept update-index --force-remove "$inner"
    kept read-tree --prefix="$inner/" "$tree"
  done <"$GIT_INDEX_FILE.inner"
  kept write-tree
)
theirs() { git --git-dir="$top/.git" -c core.hooksPath=/dev/null "$@" 2>/dev/null; }
is_commit() { kept cat-file -e "$1^{commit}" 2>/dev/null; }
parent=$known
others=
if [ "$mode" = all ]; then
  own=$(theirs rev-parse --verify --quiet "refs/heads/$branch^{commit}") && is_commit "$own" && parent=$own
  for id in $(theirs rev-parse --verify --quiet HEAD) \
    $(theirs for-each-ref --count=50 '--format=%(objectname)' refs/heads refs/stash); do
    case " $parent $others " in *" $id "*) continue ;; esac
    is_commit "$id" || continue
    kept merge-base --is-ancestor "$id" "$parent" || others="$others $id"
  done
fi
tree=$(save "$top" "$parent")
if [ -s "$tmp/unread" ]; then
  [ "$force" = force ] || { cat "$tmp/unread" >&2; exit 5; }
  cat "$tmp/unread" >>"$tmp/left-out"
fi
export GIT_AUTHOR_NAME=Tanuki GIT_AUTHOR_EMAIL=tanuki@localhost
export GIT_COMMITTER_NAME=Tanuki GIT_COMMITTER_EMAIL=tanuki@localhost
parents=
for id in "$parent" $others; do parents="$parents -p $id"; done
# Unquoted: one word for each.
commit=$(kept commit-tree "$tree" $parents -F -)
kept update-ref refs/tanuki/rescue "$commit"
[ ! -s "$tmp/left-out" ] || sed 's/^/left out: /' "$tmp/left-out" >&2
kept=yes
printf '%s\n' "$tmp"
"#;

/// Removes what [`SAVE`] has left: `$1`.
pub(super) const CLEAR: &str = r#"case $1 in /tmp/tanuki-rescue.*) rm -rf -- "$1" ;; esac"#;
