"""What the lines of a file are indented with, and when they are indented further, or less.

Decided by the file's name and its text. Knows strings.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import PurePath

from dgedit.text.cells import width_of
from dgedit.text.languages import kind_of
from dgedit.text.pairs import BRACKETS

_OPENING = {close: sign for sign, close in BRACKETS.items()}
# Lines of a text that are looked at for its step, and above a line for what it belongs to.
_ENOUGH = 2000
_STEPS = (2, 3, 4, 8)
_LEAD = re.compile(r"(?:\A|(?<=[\r\n]))( *)(?=[^\s*])")

_NEVER = "(?!)"  # a pattern that nothing matches
# In Python: what a line begins with that belongs to a line above; what that one begins with; what
# ends the parts of such a line; and what a line that it stands below begins with, further right.
_PARTS = tuple(
    tuple(map(re.compile, patterns))
    for patterns in (
        (r"else:\Z", r"(?:if|elif|for|while|try|except|async)\b", r"(?:else|finally)\b", _NEVER),
        (r"elif[ (:]\Z", r"(?:if|elif)\b", r"else\b", _NEVER),
        (r"(?:except[ (:*]|finally:)\Z", r"(?:try|except)\b", r"finally\b", _NEVER),
        (r"case\b.+:\Z", r"case\b.+:", _NEVER, r"match\b.+:"),
    )
)

# Where words open and close blocks.
_SHELLS = frozenset({".sh", ".bash", ".zsh"})
_WORDY = frozenset({".rb", ".lua", ".jl", ".ex"})
_OPENS = re.compile(r"\b(?:then|do|else|repeat|begin)(?:[ ]*\|[^|]*\|)?\Z")
_BEGINS = re.compile(
    r"(?:(?:local )?function|def|class|module|if|unless|while|until|for|case|elsif|elseif|when"
    r"|rescue|ensure|struct)\b(?!.*\bend\Z)"
)
_ENDS = re.compile(r"(?:end|else|elsif|elseif|elif|until|rescue|ensure|fi|done|esac)[ ]?\Z")


def uses_tabs(text: str, name: str, wanted: bool | None = None) -> bool:
    """Say whether a text in a file of this name is indented with tabs.

    Its language decides if it demands one style; then `wanted`, then the text's own lines, then
    what is usual for the language.
    """
    needed = kind_of(name).indentation
    if needed in ("tabs", "blanks"):
        return needed == "tabs"
    if wanted is not None or re.search(r"(?:^|[\r\n])\t", text):
        return wanted is not False
    return needed is not None and not re.search(r"(?:^|[\r\n])  +[^\s*]", text)


def step_of(text: str) -> int | None:
    """Return how many blanks a step of a text's indentation has, as most of its lines say that are
    indented further than the one above; None where none is.
    """
    counts: Counter[int] = Counter()
    above = 0
    for match in islice(_LEAD.finditer(text), _ENOUGH):
        width = len(match[1])
        counts[width - above] += 1
        above = width
    found = [(-counts[step], step) for step in _STEPS if counts[step]]
    return min(found)[1] if found else None


def opens_block(line: str, name: str) -> bool:
    """Return whether what follows a line, in a file of this name, is indented further: behind an
    open bracket at its end, in Python behind a colon, and behind the words that open blocks
    elsewhere.
    """
    kind, line = kind_of(name), line.strip()
    if not line or (kind.comment or kind.language) is None:
        return False
    if kind.comment is not None and line.startswith(kind.comment[0]):
        return False
    if line[-1] in BRACKETS or (line[-1] == ":" and kind.language == "python"):
        return True
    suffix = PurePath(name).suffix.lower()
    if suffix in _SHELLS:
        return _OPENS.search(line) is not None or (line[:5] == "case " and line[-3:] == " in")
    return suffix in _WORDY and bool(_OPENS.search(line) or _BEGINS.match(line))


def opens_inside(before: str, behind: str, name: str) -> bool:
    """Return whether a line that is ended within it is between a bracket and the one that closes
    it, with nothing but blanks there: what was between them gets a line of its own.
    """
    close = BRACKETS.get(before.rstrip(" \t")[-1:])
    return bool(close) and behind.lstrip(" \t")[:1] == close and opens_block(before, name)


def dedented(line: str, above: Iterable[str], name: str) -> str | None:
    """Return the blanks that a line is to begin with instead, where what was typed of it so far
    belongs to a line above, the nearest of which comes first; None where they stay.
    """
    lead, word = _parted(line)
    kind, suffix = kind_of(name), PurePath(name).suffix.lower()
    if not lead or kind.language == "markdown" or (kind.comment or kind.language) is None:
        return None
    above = islice(above, _ENOUGH)
    target = None
    if word in _OPENING:
        target = _lead_of_bracket(word, above)
    elif kind.language == "python":
        for part, whole, last, outer in _PARTS:
            if part.match(word):
                target = _lead_of_whole(lead, whole, last, outer, above)
    elif suffix in _SHELLS | _WORDY and _ENDS.match(word):
        target = _lead_around(lead, above, name)
    fits = target is not None and len(target) < len(lead) and lead.startswith(target)
    return target if fits else None


def to_stop(lead: str, step: int, tab_width: int) -> int:
    """Return how many of the blanks and tabs that a line begins with Backspace takes behind them:
    to the stop before.
    """
    blanks = len(lead) - len(lead.rstrip(" "))
    return min(blanks, (width_of(lead, tab_width) - 1) % step + 1) if blanks else len(lead[-1:])


def _parted(line: str) -> tuple[str, str]:
    """Return what a line begins with that is blank, and the rest."""
    body = line.lstrip(" \t")
    return line[: len(line) - len(body)], body


def _lead_of_bracket(close: str, above: Iterable[str]) -> str | None:
    """Return the blanks of the line that opens what a bracket closes."""
    depth, signs = 0, re.compile(f"[{re.escape(close + _OPENING[close])}]")
    for line in above:
        for sign in reversed(signs.findall(line)):
            depth += 1 if sign == close else -1
            if depth < 0:
                return _parted(line)[0]
    return None


def _lead_of_whole(
    lead: str,
    whole: re.Pattern[str],
    last: re.Pattern[str],
    outer: re.Pattern[str],
    above: Iterable[str],
) -> str | None:
    """Return the blanks of the nearest line that a part can belong to, of those around it; None
    where it stands below `outer` first.
    """
    most = len(lead)
    for line in above:
        there, body = _parted(line)
        if body and len(there) <= most:
            if whole.match(body):
                return there
            if outer.match(body):
                return None
            most = len(there) - (last.match(body) is not None)
    return None


def _lead_around(lead: str, above: Iterable[str], name: str) -> str | None:
    """Return the blanks of the line whose block ends, unless the line was dedented already."""
    nearest = True
    for line in above:
        there, body = _parted(line)
        if not body:
            continue
        if len(there) < len(lead) or (nearest and opens_block(line, name)):
            return there
        if nearest and there != lead:
            return None
        nearest = False
    return None
