"""A list of choices that typed letters narrow: for files, commands, themes and so on.

Knows names and their order; the caller uses the choice. Each key ranks all names and shows the best
hundred: for the speed with 50,000 names see `fuzzy.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from dgedit.text.fuzzy import Ranking, positions
from dgedit.text.visible import visible
from dgedit.tui.widgets.dialogs import Modal
from dgedit.tui.widgets.line_input import LineInput

# The most rows of the list: it is faster to type more letters than to look further.
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the list."""

    name: str
    """The text that typed letters are matched with."""
    aside: tuple[str, ...] = ()
    """Texts shown at the right, each in a column of its own."""
    also: frozenset[str] = frozenset()
    """Synonyms in lower case that are not shown; matched by their first letters."""


class Choose(Modal[int | None]):
    """A dialog to choose from a list; the answer is the choice's index, or None for Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "close", show=False),
        Binding("down,ctrl+n", "move(1)", "next", show=False),
        Binding("up,ctrl+p", "move(-1)", "previous", show=False),
        Binding("pagedown", "move(10)", "further", show=False),
        Binding("pageup", "move(-10)", "back", show=False),
    ]

    class More(Message):
        """A new list of choices. Ranking is prepared here, which may be in a thread."""

        def __init__(
            self, choices: Sequence[Choice], first: Sequence[int] | None = None, *, note: str = ""
        ) -> None:
            super().__init__()
            self.choices, self.first, self.note = choices, first, note
            self.ranking = Ranking([choice.name for choice in choices])

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice],
        first: Sequence[int] | None = None,
        *,
        peek: Callable[[int | None], None] | None = None,
        note: str = "",
    ) -> None:
        super().__init__()
        self.title_words = title
        """The placeholder of the line."""
        self.choices = choices
        """The choices."""
        self.note = note
        """A note after their number."""
        self._first = first
        self._peek = peek
        self._ranking = Ranking([choice.name for choice in choices])
        self._shown: list[int] = []
        self._width = 0

    def compose(self) -> ComposeResult:
        """Lay out the line above the list, and the count."""
        with Vertical():
            yield LineInput(placeholder=self.title_words)
            yield OptionList()
            yield Static(classes="count")

    def on_mount(self) -> None:
        """Show the first choices."""
        self.query_one(OptionList).can_focus = False
        self._narrow("")

    @on(More)
    def _extend(self, more: More) -> None:
        """Replace the list; the typed text and the highlighted choice stay."""
        at = self.query_one(OptionList).highlighted
        name = None if at is None else self.choices[self._shown[at]].name
        self.choices, self._first, self._ranking = more.choices, more.first, more.ranking
        self.note = more.note
        self._narrow(self.query_one(Input).value)
        names = [self.choices[at].name for at in self._shown]
        if name in names:
            self.query_one(OptionList).highlighted = names.index(name)

    def on_resize(self) -> None:
        """Align the lines for the new width."""
        self.call_after_refresh(self._align)

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        self._narrow(message.value)

    @on(Input.Submitted)
    def _entered(self) -> None:
        at = self.query_one(OptionList).highlighted
        if at is not None:
            self.dismiss(self._shown[at])

    @on(OptionList.OptionSelected)
    def _clicked(self, message: OptionList.OptionSelected) -> None:
        self.dismiss(self._shown[message.option_index])

    @on(OptionList.OptionHighlighted)
    def _lit(self, message: OptionList.OptionHighlighted) -> None:
        if self._peek is not None and message.option_index < len(self._shown):
            self._peek(self._shown[message.option_index])

    def action_move(self, by: int) -> None:
        """Move the highlight up or down."""
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            last = len(self._shown) - 1
            options.highlighted = max(0, min(last, options.highlighted + by))

    def action_leave(self) -> None:
        """Close without a choice."""
        if self._peek is not None:
            self._peek(None)
        self.dismiss(None)

    def _narrow(self, query: str) -> None:
        if query.strip() or self._first is None:
            self._shown = self._best(query)
        else:
            self._shown = list(self._first[:_SHOWN])
        options = self.query_one(OptionList)
        options.clear_options()
        rows = [[visible(part) for part in self.choices[at].aside] for at in self._shown]
        # Align columns of numbers to the right.
        sides = [
            (max(map(len, one)), all(map(str.isdecimal, one))) for one in zip(*rows, strict=True)
        ]
        self._width = self._room()
        for at, row in zip(self._shown, rows, strict=True):
            cells = zip(row, sides, strict=True)
            aside = "".join(f"  {one:{'>' if digits else '<'}{w}}" for one, (w, digits) in cells)
            options.add_option(Option(self._line(at, query, aside)))
        options.highlighted = 0 if self._shown else None
        shown = f"{len(self._shown):,}" if self._shown else "none"
        some = f"{shown} of " if len(self._shown) < len(self.choices) else ""
        count = f"{some}{len(self.choices):,}"
        self.query_one(".count", Static).update(" · ".join(filter(None, (count, self.note))))

    def _best(self, query: str) -> list[int]:
        """Return choices with the query in their names, then those with synonyms, then
        the others.
        """
        best, words = self._ranking.best(query, _SHOWN), query.lower().split()
        called = [
            at
            for at, choice in enumerate(self.choices)
            if choice.also and all(_begins(word, choice.also) for word in words)
        ]
        if called:
            whole = " ".join(words)
            named = [at for at in best if whole in self.choices[at].name.lower()]
            best = list(dict.fromkeys([*named, *called, *best]))[:_SHOWN]
        return best

    def _align(self) -> None:
        options = self.query_one(OptionList)
        if self._width != self._room():
            at = options.highlighted
            self._narrow(self.query_one(Input).value)
            options.highlighted = at

    def _room(self) -> int:
        """Return the width of a line in cells; before layout, the width the style sheet
        will give.
        """
        shown = self.query_one(OptionList).scrollable_content_region.width
        return (shown or min(100, self.app.size.width * 8 // 10) - 5) - 2

    def _line(self, at: int, query: str, aside: str) -> Content:
        name = self.choices[at].name
        marked = set(positions(query, name))
        # Character by character, since a sign may be longer than the character it stands for.
        parts = (
            (visible(char), "bold underline" if i in marked else "") for i, char in enumerate(name)
        )
        shown = Content.assemble(*parts) if marked else Content(visible(name))
        width = max(10, self._width - len(aside))
        return Content.assemble(shown.truncate(width, ellipsis=True, pad=True), (aside, "dim"))


def _begins(begun: str, words: Iterable[str]) -> bool:
    return any(word.startswith(begun) for word in words)
