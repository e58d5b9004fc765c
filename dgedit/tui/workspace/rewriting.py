"""Write the text in front otherwise: letters, lines, line ends, indentation, encoding, language.

Each is asked for by its name, and what it changes is one undo. What is chosen holds for what is
typed from then on, as long as the file is open; the text itself changes with the line ends, and
with the indentation only where that is wanted.

Knows the file in front; what becomes of the text, `text/rewriting.py` says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import PurePath
from typing import Any

from dgedit.text import lexing
from dgedit.text.edits import Change
from dgedit.text.indentation import step_of
from dgedit.text.languages import kind_of, known, names_of
from dgedit.text.rewriting import recased, reindented, sorted_lines, with_line_ends
from dgedit.tui.editor.editor import Editor
from dgedit.tui.widgets.picker import Choice, Choose
from dgedit.tui.workspace.tabs import Workspace

_ENDS = {"LF": "\n", "CRLF": "\r\n"}
_NAMES = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}
_ASIDE = {"LF": "Unix, macOS", "CRLF": "Windows"}
_UNITS = {"tabs": 0, "2 blanks": 2, "4 blanks": 4, "8 blanks": 8}
_CHARSETS = ("utf-8", "utf-8-bom", "utf-16le", "utf-16be")
_NO_TEXT = re.compile("[\ud800-\udfff]")
_PLAIN = "plain text"


class Rewriting:
    """Rewrites the file in front, and says how it is written from then on."""

    def __init__(self, workspace: Workspace, refuse: Callable[[], None]) -> None:
        """`refuse` says why a file cannot be edited."""
        self.workspace, self._refuse = workspace, refuse

    def recase(self, upper: bool) -> None:
        """Write what is selected, or the word there, in upper or lower case; at each cursor."""
        editor = self.workspace.editor
        if not self._may_edit(editor):
            return
        changed = False
        for _ in editor.cursors.each():
            change = recased(editor.text, editor.selected, upper=upper)
            editor.change(change)
            changed |= change is not None
        if not changed:
            self.workspace.notice(f"nothing to write in {'upper' if upper else 'lower'} case here")

    def sort(self) -> None:
        """Sort the selected lines."""
        editor = self.workspace.editor
        if not self._may_edit(editor):
            return
        editor.cursors.drop()
        change = sorted_lines(editor.text, editor.selected)
        if editor.selection.start[0] == editor.selection.end[0]:
            self.workspace.notice("select the lines to sort; Ctrl+A selects all")
        elif change is None:
            self.workspace.notice("the lines are in order")
        else:
            editor.change(change)

    def ask_line_ends(self) -> None:
        """Let the user choose how lines end, and end all of them so."""
        self._ask(self._choose_line_ends)

    def ask_indentation(self) -> None:
        """Let the user choose what lines are indented with, and whether the text is rewritten."""
        self._ask(self._choose_indentation)

    def ask_encoding(self) -> None:
        """Let the user choose how the text is stored from the next save on."""
        self._ask(self._choose_encoding)

    def ask_language(self) -> None:
        """Let the user choose the language whose colours and comments the text has."""
        self._ask(self._choose_language)

    def _ask(self, choose: Callable[[Editor], Coroutine[Any, Any, None]]) -> None:
        self.workspace.work(partial(choose, self.workspace.editor), group="commands")

    def _may_edit(self, editor: Editor) -> bool:
        if editor.locked:
            self._refuse()
        return not editor.locked

    async def _chosen(
        self, title: str, names: Sequence[str], asides: Sequence[str], now: str
    ) -> str | None:
        """Ask for one of some names; the present one comes first."""
        order = sorted(range(len(names)), key=lambda at: names[at] != now)
        choices = [Choice(names[at], (asides[at],)) for at in order]
        at = await self.workspace.app.push_screen_wait(Choose(title, choices))
        return None if at is None else choices[at].name

    async def _choose_line_ends(self, editor: Editor) -> None:
        now = _NAMES[editor.buffer.newline]
        name = await self._chosen("how lines end", [*_ENDS], [*_ASIDE.values()], now)
        if name is not None and self._may_edit(editor):
            newline = _ENDS[name]
            change = with_line_ends(editor.text, editor.selected, newline)
            self._change(editor, change)
            editor.buffer.end_lines_with(newline)
            count = len(change.parts) if change else 0
            self._tell(f"lines end with {name}; {count or 'none'} changed")

    async def _choose_indentation(self, editor: Editor) -> None:
        now = "tabs" if editor.indent_type == "tabs" else f"{editor.indent_size} blanks"
        rewrite = [f"{name}, and rewrite the text" for name in _UNITS]
        asides = [""] * len(_UNITS) + ["one undo"] * len(_UNITS)
        name = await self._chosen("what lines are indented with", [*_UNITS, *rewrite], asides, now)
        if name is None:
            return
        size = _UNITS[name.partition(",")[0]]
        usual = editor.indent_width if now == "tabs" else editor.indent_size
        step = step_of(editor.text) or usual
        editor.indent_type = "spaces" if size else "tabs"
        editor.indent_size = size or editor.indent_width
        told = f"lines are indented with {name.partition(',')[0]} from now on"
        if name in rewrite and self._may_edit(editor):
            unit, width = editor.indent_unit, editor.indent_width
            change = reindented(editor.text, editor.selected, unit, step=step, tab_width=width)
            self._change(editor, change)
            told += f"; {len(change.parts) if change else 'none'} changed"
        self._tell(told)

    async def _choose_encoding(self, editor: Editor) -> None:
        now = next(one for one in _CHARSETS if editor.file.stored_as(one) == editor.file)
        asides = ["", "with a mark", "with a mark", "with a mark"]
        name = await self._chosen("how the text is stored", _CHARSETS, asides, now)
        if name is None or name == now or not self._may_edit(editor):
            return
        if _NO_TEXT.search(editor.text):
            self.workspace.notice(f"not {name}: some bytes are no text, and would be lost")
            return
        editor.file = editor.file.stored_as(name)
        self._tell(f"{name} from the next save on")

    async def _choose_language(self, editor: Editor) -> None:
        files = languages()
        now = next((one for one, name in files.items() if _is_alike(name, editor)), _PLAIN)
        asides = [PurePath(name).suffix or name for name in files.values()]
        name = await self._chosen("the language of the text", [*files], asides, now)
        if name is not None:
            editor.take_for(files[name])
            self._tell(f"colours and comments are those of {name}")

    def _change(self, editor: Editor, change: Change | None) -> None:
        with editor.steady(change.map if change else lambda index: index):
            editor.change(change)

    def _tell(self, words: str) -> None:
        self.workspace.tell_place()
        self.workspace.notice(words)


def languages() -> dict[str, str]:
    """Return the languages that a text may have, each with the name of a file in it."""
    found = {_PLAIN: "x.txt"}
    for language in known():
        glob = names_of(language)[0]
        found[language] = glob.replace("*", "x")
    return found | {
        language: name
        for language, name in lexing.languages().items()
        if kind_of(name).language is None
    }


def _is_alike(name: str, editor: Editor) -> bool:
    kind, own = kind_of(editor.file_name), PurePath(editor.file_name)
    same = kind.language is not None and kind_of(name).language == kind.language
    return same or (PurePath(name).suffix == own.suffix != "")
