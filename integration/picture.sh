#!/usr/bin/env bash
# Makes the picture of the dashboard in the README, from the real program in a terminal of tmux's.
#
#   integration/picture.sh <project directory> [columns] [rows] > docs/dashboard.svg
#
# The project's agents, tasks and services are shown as they are; the demo's project is a good one.
set -euo pipefail

project=${1:?which project?}
columns=${2:-120}
rows=${3:-34}
here=$(cd "$(dirname "$0")/.." && pwd)
tanuki=${TANUKI_BIN:-$here/target/debug/tanuki}

for tool in tmux python3; do
    command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 1; }
done

work=$(mktemp -d)
tmux() { command tmux -S "$work/tmux" -f /dev/null "$@"; }
trap 'tmux kill-server 2>/dev/null || true; rm -rf "$work"' EXIT

TERM=xterm-256color tmux new-session -d -x "$columns" -y "$rows" "$tanuki" --project "$project" dashboard
for _ in $(seq 100); do
    tmux capture-pane -p 2>/dev/null | grep -q 'Agents \[' && break
    sleep 0.1
done
# The output of the selected agent comes a moment later.
sleep 2
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
