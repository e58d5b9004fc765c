"""Check what the editor needs of a terminal, from its own answers and the environment.

For a terminal that cannot be asked (a pipe, a dumb one, or in the background) there is one finding,
as its abilities are unknown.
"""

from __future__ import annotations

import curses
import os
import shutil
import sys

from dgedit.doctor import terminal
from dgedit.doctor.checks import Finding
from dgedit.doctor.terminal import PASTES, SYNCHRONISED, TerminalFacts

_COLUMNS, _ROWS = 80, 24
_RICH = ("truecolor", "24bit")


def findings() -> list[Finding]:
    """Run all checks. Asks the terminal, if there is one."""
    where = os.environ.get("TERM", "")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        advice = "run it in the terminal that you edit in, with nothing piped"
        return [Finding("terminal", "warn", "none here: not asked", advice)]
    if where in ("", "dumb"):
        advice = "the editor needs another; dgedit fill works in this one"
        return [Finding("terminal", "warn", f"TERM is {where!r}", advice)]
    try:
        answers = terminal.ask(sys.stdout.fileno(), unicode=_is_unicode())
    except OSError as error:
        return [Finding("terminal", "warn", f"cannot be asked: {error.strerror}", "try another")]
    if answers is None:
        return [Finding("terminal", "warn", "not asked in the background", "run it with fg")]
    return [
        screen(answers),
        colours(),
        unicode(answers),
        keyboard(answers),
        drawing(answers),
        pasting(answers),
        clipboard(answers),
    ]


def screen(answers: TerminalFacts) -> Finding:
    """Check the terminal's name and size."""
    columns, rows = shutil.get_terminal_size()
    name = answers.name or "one without a name"
    if os.environ.get("TMUX") and not name.startswith("tmux"):
        name += " in tmux"
    what = f"{name}, TERM={os.environ.get('TERM')}, {columns} × {rows}"
    if not answers.answered:
        advice = "what follows is not known; a slow connection may be why"
        return Finding("terminal", "warn", f"{what}: it does not answer", advice)
    if columns < _COLUMNS or rows < _ROWS:
        return Finding("terminal", "warn", what, f"{_COLUMNS} × {_ROWS} is the least that is meant")
    return Finding("terminal", "ok", what)


def colours() -> Finding:
    """Check the number of colours."""
    plain = "; NO_COLOR turns them off" if os.environ.get("NO_COLOR") else ""
    if os.environ.get("COLORTERM", "").lower() in _RICH:
        return Finding("colours", "ok", f"16.7 million{plain}")
    try:
        curses.setupterm(fd=sys.__stdout__.fileno() if sys.__stdout__ else 1)
        count = curses.tigetnum("colors")
    except curses.error:
        what = f"TERM={os.environ.get('TERM')} is not known here"
        return Finding("colours", "warn", what, "install its terminfo, or TERM=xterm-256color")
    if count < 256:
        advice = "TERM=xterm-256color, and COLORTERM=truecolor where that is so"
        return Finding("colours", "warn", f"{max(0, count)}{plain}", advice)
    return Finding("colours", "ok", f"{count}, more with COLORTERM=truecolor{plain}")


def unicode(answers: TerminalFacts) -> Finding:
    """Check that Unicode can be shown, and that characters have the expected widths."""
    if not _is_unicode():
        what = f"text is written in {sys.stdout.encoding}"
        return Finding("unicode", "warn", what, "set LANG to C.UTF-8 or your language's")
    if len(answers.widths) < 2:
        return Finding("unicode", "ok", "UTF-8; widths are not known")
    wide, joined = answers.widths
    if wide != 2:
        advice = "the cursor is off in such lines: take a font and a locale for them"
        return Finding("unicode", "warn", f"UTF-8; wide characters take {wide} columns", advice)
    if joined != 2:
        what = f"UTF-8; a joined emoji takes {joined} columns, not 2"
        return Finding("unicode", "warn", what, "the cursor is off in lines with such emoji")
    return Finding("unicode", "ok", "UTF-8; wide characters and emoji take 2 columns")


def keyboard(answers: TerminalFacts) -> Finding:
    """Check whether all keys can be distinguished."""
    if answers.keyboard:
        return Finding("keyboard", "ok", "all keys are told apart (kitty's protocol)")
    advice = "F1 has other keys; kitty, foot, Ghostty, WezTerm tell them apart"
    return Finding("keyboard", "warn", "Ctrl+Shift is not told from Ctrl", advice)


def drawing(answers: TerminalFacts) -> Finding:
    """Check whether a screen update appears at once."""
    if answers.modes.get(SYNCHRONISED):
        return Finding("drawing", "ok", "a picture appears at once (mode 2026)")
    advice = "if it flickers: dgedit config set live settle"
    return Finding("drawing", "warn", "a picture may be seen half drawn (no mode 2026)", advice)


def pasting(answers: TerminalFacts) -> Finding:
    """Check whether pasted text is distinguished from typed text."""
    has = answers.modes.get(PASTES)
    if has is None:
        return Finding("pasting", "ok", "it does not say whether it marks what is pasted")
    if has:
        return Finding("pasting", "ok", "what is pasted is marked (mode 2004)")
    return Finding("pasting", "warn", "what is pasted comes as keys", "Ctrl+V pastes as well")


def clipboard(answers: TerminalFacts) -> Finding:
    """Check how the system's clipboard can be reached."""
    try:
        from dgedit.tui.terminal.clipboard import find_tool

        tool = find_tool(os.environ)
    except ImportError:  # textual is missing, which another check reports
        tool = None
    ways = ["the terminal (OSC 52)"] if answers.copies else []
    ways += [tool.copy[0]] if tool else []
    if ways:
        return Finding("clipboard", "ok", f"by {' and '.join(ways)}")
    advice = "install wl-clipboard, xclip or xsel"
    if os.environ.get("TMUX"):
        advice = "tmux set -s set-clipboard on; or " + advice
    what = "no program for it, and the terminal does not announce OSC 52"
    return Finding("clipboard", "warn", what, advice)


def _is_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
