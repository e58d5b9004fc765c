"""The colours of a draft in the place of its hole: what breaks the rules of the file's kind, in a
Sudoku or a graph, and in all other files its syntax.

Knows a buffer and a hole; draws nothing.
"""

from __future__ import annotations

from dgedit.files.document import Span
from dgedit.text.rules import breaks, ruled
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.draft_syntax import draft_syntax
from dgedit.tui.editor.highlighting import LINE_END, DraftSyntax
from dgedit_engine.types import Draft


def draft_colours(
    name: str, buffer: Buffer, span: Span, draft: Draft, *, drafts: int
) -> DraftSyntax:
    """Return the colours of a draft that stands in the place of a span of a file of this name;
    `drafts` is the number of drafts shown at this step.
    """
    if not ruled(name):
        return draft_syntax(buffer, span, draft, drafts=drafts)
    text = buffer.text
    filled = text[: span.start] + draft.text + text[span.end :]
    wrong = [one.start - span.start for one in breaks(name, filled)]
    found = []
    start = 0
    for place, line in enumerate(LINE_END.split(draft.text)):
        if place % 2 == 0:
            there = [at - start for at in wrong if 0 <= at - start < len(line)]
            found.append(tuple((at, at + 1, "error") for at in there))
        start += len(line)
    return tuple(found)
