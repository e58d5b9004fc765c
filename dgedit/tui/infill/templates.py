"""Mask text as a template: its blanks, a character each, are filled while all else stays.

What stands for a blank is the file's kind's to say, else the only usual one that the text has, else
the user's. Knows the file in front; `text/blanks.py` knows blanks.
"""

from __future__ import annotations

from functools import partial

from dgedit.text.blanks import CUSTOMARY, Blanks, usual
from dgedit.tui.editor import masking
from dgedit.tui.editor.editor import Editor
from dgedit.tui.infill.controller import InfillController
from dgedit.tui.widgets.picker import Choice, Choose

_MOST = 40  # characters to choose from


class Templates:
    """Masks the selection, or the hole at the cursor, as a template."""

    def __init__(self, infill: InfillController) -> None:
        self._infill = infill

    def mask(self) -> None:
        """Mask it, and ask what stands for a blank where that is not obvious."""
        workspace = self._infill.workspace
        editor = workspace.editor
        text = masking.aimed_text(editor)
        own = usual(editor.file.path)
        there = [one for one in CUSTOMARY if one in text]
        if own is not None and own.character in text:
            self._infill.hold(partial(masking.template, blanks=own))
        elif len(there) == 1:
            self._infill.hold(partial(masking.template, blanks=Blanks(there[0])))
        elif not text.strip():
            workspace.notice("select the text with the blanks; Ctrl+A selects all")
        else:
            workspace.work(partial(self._choose, editor, text), group="commands")

    async def _choose(self, editor: Editor, text: str) -> None:
        signs = sorted({one for one in text if one.isprintable() and not one.isspace()})
        signs.sort(key=lambda one: (one not in CUSTOMARY, one.isalnum()))
        choices = [Choice(one, (f"{text.count(one)} times",)) for one in signs[:_MOST]]
        app = self._infill.workspace.app
        at = await app.push_screen_wait(Choose("the character to be filled", choices))
        if at is not None and editor is self._infill.workspace.editor:
            self._infill.hold(partial(masking.template, blanks=Blanks(choices[at].name)))
