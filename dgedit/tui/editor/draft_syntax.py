"""The syntax colours of a draft, found by parsing it in the place of its hole.

The document's own tree does not hold drafts, so a draft is parsed with the lines around it: all of
a small text, else as many as are parsed within a frame. Knows a buffer and a hole; draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dgedit.files.document import Span
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.composer import clipped
from dgedit.tui.editor.highlighting import LINE_END, DraftSyntax, Parse
from dgedit_engine.types import Draft

# Characters that are parsed for one step of all holes, three quarters of them above a hole.
_CONTEXT = 8_000
# Seconds after which a draft is shown without colours after all.
_AT_ONCE = 0.01


def draft_syntax(buffer: Buffer, span: Span, draft: Draft, *, drafts: int) -> DraftSyntax:
    """Return the syntax of a draft that stands in the place of a span.

    `drafts` is the number of drafts shown at this step, which share the time. Returns an empty
    tuple without a grammar, or if the parse takes too long.
    """
    if buffer.parse is None:
        return ()
    (top, left), (bottom, right) = buffer.location(span.start), buffer.location(span.end)
    room = _CONTEXT // max(1, drafts)
    above = list(_near(buffer.lines[:top][::-1], room * 3 // 4))[::-1]
    below = _near(buffer.lines[bottom + 1 :], room // 4)
    own = LINE_END.split(draft.text)[::2]
    lines = list(own)
    lines[0] = buffer[top][:left] + lines[0]
    lines[-1] += buffer[bottom][right:]
    if sum(map(len, lines)) > _CONTEXT:
        return ()
    parse = Parse(buffer.parse.syntax, [*above, *lines, *below])
    if not parse.step(_AT_ONCE):
        return ()
    starts = [left] + [0] * (len(own) - 1)
    return tuple(
        clipped(parse.highlights(len(above) + i), at, at + len(line))
        for i, (line, at) in enumerate(zip(own, starts, strict=True))
    )


def _near(lines: Iterable[str], room: int) -> Iterator[str]:
    """Yield lines until they have so many characters."""
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            return
        yield line
