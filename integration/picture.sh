#!/usr/bin/env bash
# Makes the picture of the dashboard in the README: a sample project on Docker, with agents at work, in a terminal of
# tmux's. Nothing in it is drawn by hand.
#
#   integration/engines.sh up docker && integration/images.sh docker && cargo build
#   integration/picture.sh [columns] [rows] > docs/dashboard.svg
set -euo pipefail

columns=${1:-120}
rows=${2:-32}
here=$(cd "$(dirname "$0")/.." && pwd)
program=${TANUKI_BIN:-$here/target/debug/tanuki}

for tool in tmux python3 git docker; do
    command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 1; }
done

work=$(mktemp -d)
shop=$work/shop
mkdir -p "$shop/.tanuki/tasks" "$work/home" "$work/run"
# Nothing of this machine's user is read, written or shown.
settings=(env -i "PATH=$PATH" "HOME=$work/home" "XDG_RUNTIME_DIR=$work/run" "XDG_STATE_HOME=$work/state"
    TANUKI_RUNTIME=docker TZ=UTC LC_ALL=C.UTF-8 TERM=xterm-256color)
tanuki() { (cd "$shop" && "${settings[@]}" "$program" "$@" </dev/null >&2); }
tmux() { "${settings[@]}" tmux -S "$work/tmux" -f /dev/null "$@"; }
finish() {
    tmux kill-server 2>/dev/null || true
    tanuki down --volumes --yes || tanuki down --volumes --yes || true
    rm -rf "$work"
}
trap finish EXIT

# await <text>: until it is on the screen.
await() {
    local _
    for _ in $(seq 600); do
        ! tmux capture-pane -p 2>/dev/null | grep -q -- "$1" || return 0
        sleep 0.1
    done
    tmux capture-pane -p >&2
    echo "'$1' does not come" >&2
    return 1
}

task() {
    printf -- '---\nid: %s\ntitle: %s\nrole: %s\n%s---\n%s\n' "$1" "$2" "$3" "$4" "$2" >"$shop/.tanuki/tasks/$1.md"
}
task TASK-001 'Schema of orders' backend $'completion: { verify: "test -f schema.sql" }\n'
task TASK-002 'Orders API' backend $'priority: high\ndepends_on: [TASK-001]\ncompletion: { verify: "test -f api.ts" }\n'
task TASK-003 'Checkout page' frontend $'completion: { verify: "test -f checkout.tsx" }\n'
task TASK-004 'Load test of the checkout' qa $'depends_on: [TASK-002, TASK-003]\ncompletion: { verify: "true" }\n'
task TASK-005 'Describe the API' docs ''
task TASK-006 'Search in the catalogue' backend $'priority: low\ncompletion: { verify: "true" }\n'

cat >"$shop/tanuki.yaml" <<'YAML'
services:
  postgres: { image: tanuki-test/postgres:15, pull_policy: never }
  redis: { image: tanuki-test/redis:7, pull_policy: never }
defaults: { agent: script, image: tanuki-test/plain:1 }
adapters:
  script: { kind: command, run: [sh, work.sh] }
limits: { agents: 4, working: 3 }
YAML
cat >"$shop/work.sh" <<'SCRIPT'
cat >/dev/null
say() { printf '%s\n' "$@"; sleep 0.7; }
case $TANUKI_TASK in
    TASK-001)
        say 'Reading the notes in docs/orders.md'
        echo 'CREATE TABLE orders (id bigint PRIMARY KEY, placed_at timestamptz NOT NULL);' >schema.sql
        say 'Wrote schema.sql: orders, lines, payments'
        ;;
    TASK-002)
        say 'Reading src/api/routes.ts and schema.sql'
        say 'The routes are spread over three files; orders go into one of their own, src/api/orders.ts'
        say "\$ psql -f schema.sql" 'CREATE TABLE'
        say 'Found 12 endpoints, 4 of which are about orders'
        say 'POST /api/orders checks the stock first and answers 409 where there is not enough'
        say "\$ npm test -- orders" '  ok   places an order' '  ok   refuses what is not in stock' '  FAIL lists a page of orders: the last page is empty'
        say 'The limit counts lines instead of orders; counting in a subquery'
        say "\$ npm test -- orders" '  ok   14 of 14'
        say 'Going on with GET /api/orders/:id'
        sleep 600
        ;;
    TASK-003)
        say 'Reading src/pages/cart.tsx'
        echo 'export default function Checkout() {}' >checkout.tsx
        sleep 600
        ;;
    TASK-005) echo '# API' >api.md ;;
    *) sleep 600 ;;
esac
SCRIPT
git -C "$shop" init --quiet --initial-branch main
git -C "$shop" config user.name 'A Person'
git -C "$shop" config user.email person@example.org
printf '.tanuki/state/\n.tanuki/workspaces/\n' >"$shop/.gitignore"
git -C "$shop" add --all
git -C "$shop" commit --quiet --message 'A shop'

tanuki project start --detach
tmux new-session -d -x "$columns" -y "$rows" -c "$shop" "$program" dashboard
await 'backend .*TASK-002'
# The agent that came first may be another one.
tmux send-keys g
await 'Going on with GET'
await '2/2 services healthy'
tmux capture-pane -p -e >"$work/screen"
tmux send-keys q

python3 - "$work/screen" "$columns" "$rows" <<'PYTHON'
"""Turns a captured screen into an SVG that reads the same on light and dark pages."""
import re
import sys
import unicodedata
from html import escape

path, columns, rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
WIDTH, HEIGHT, MARGIN = 8.4, 18, 16
COLOURS = {31: "#f7768e", 32: "#9ece6a", 33: "#e0af68", 34: "#7aa2f7", 35: "#bb9af7", 36: "#7dcfff"}
FOREGROUND, BACKGROUND = "#c0caf5", "#1a1b26"


def wide(character):
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


style, out = {}, []
for y, line in enumerate(open(path, encoding="utf-8").read().split("\n")[:rows]):
    x = 0
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        codes = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if codes:
            # One of the sixteen colours may also be told by its number among 256.
            plain = re.sub(r"38;5;([0-7])(?!\d)", r"3\1", codes.group(1))
            for code in (int(code or 0) for code in plain.split(";")):
                if code == 0:
                    style = {}
                elif code in (1, 2, 7):
                    style[code] = True
                elif code == 39:
                    style.pop("colour", None)
                elif code in COLOURS:
                    style["colour"] = COLOURS[code]
            continue
        length = sum(wide(character) for character in part)
        if not part:
            continue
        colour, top = style.get("colour", FOREGROUND), MARGIN + y * HEIGHT
        left, span = MARGIN + x * WIDTH, length * WIDTH
        if style.get(7):
            out.append(f'<rect x="{left:.1f}" y="{top}" width="{span:.1f}" height="{HEIGHT}" fill="{colour}"/>')
            colour = BACKGROUND
        if part.strip():
            bold = ' font-weight="bold"' if style.get(1) else ""
            dim = ' opacity="0.6"' if style.get(2) else ""
            out.append(
                f'<text x="{left:.1f}" y="{top + 13}" fill="{colour}"{bold}{dim} textLength="{span:.1f}">'
                f"{escape(part)}</text>"
            )
        x += length

width, height = columns * WIDTH + 2 * MARGIN, rows * HEIGHT + 2 * MARGIN
print(
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-size="14" '
    'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" xml:space="preserve">'
)
print(f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>')
print("\n".join(out))
print("</svg>")
PYTHON
