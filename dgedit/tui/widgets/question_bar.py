"""A bar below the text that asks something without standing in the way.

Typing goes on. F10 or a click goes to the bar, where one letter answers; Escape goes back to the
text and leaves the question open; the bar says so. A letter of its own for each answer, pressed in
the text, would be taken from what the text needs it for. The letter after F10 is the bar's, also
where nothing is asked, and no letter answers twice: what is asked next was not seen yet.

The question shown is the oldest about the file in front, or else about any other. Knows questions;
nothing of what they are about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from time import monotonic
from typing import ClassVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Static, Tabs

from dgedit.tui.editor.editor import Editor
from dgedit.tui.workspace.tabs import Desk

# Who answers has not seen a question that took another's place so many seconds ago.
_UNSEEN = 0.5

# What goes to the bar. Some terminals keep F10 for their menu.
_KEYS = "f10,alt+b"


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Something to be asked."""

    words: str
    """What is the matter; visible text."""
    choices: Mapping[str, str]
    """The letters that answer, and what each does."""
    answer: Callable[[str], None]
    """Called with the letter."""


_NOTHING = Question("nothing is asked", {}, lambda letter: None)
"""For whoever comes to the bar then. Any letter goes back."""


class Bar(Horizontal, can_focus=True):
    """The question and its answers, in one row if they fit. Not there when nothing is asked."""

    DEFAULT_CSS = """
    Bar { height: auto; padding: 0 1; background: $warning 20%; display: none; }
    Bar.-asks { display: block; }
    Bar:focus { background: $warning 40%; }
    Bar Static { width: auto; height: 1; }
    Bar .words { width: 1fr; height: auto; }
    Bar .answers { width: auto; height: 1; }
    Bar.-tight { layout: vertical; }
    Bar Choice:hover { background: $warning 30%; }
    """

    class Left(Message):
        """The keyboard is to go back to the text."""

    def __init__(self) -> None:
        super().__init__()
        self.question: Question | None = None
        """What is asked."""
        self.left = False
        """Whether the keyboard is on its way back to the text."""
        self._asked = 0.0
        self._entered: Question | None = None  # what was asked when the keyboard came

    def compose(self) -> ComposeResult:
        """Nothing yet."""
        yield Static(classes="words")
        yield Horizontal(classes="answers")

    def ask(self, question: Question | None) -> None:
        """Show a question in place of the one before; None shows nothing, but to who is here."""
        if question is None and self.app.focused is self and not self.left:
            question = _NOTHING
        if question is self.question:
            return
        self.question, self._asked = question, monotonic()
        self.set_class(question is not None, "-asks")
        self.query("Choice, Way").remove()
        if question is not None:
            self.query_one(".words", Static).update(Content(question.words))
            answers = [Choice(*pair) for pair in question.choices.items()]
            back = "later" if question.choices else "back"
            self.query_one(".answers").mount_all([Way(back), *answers])
            self._lay_out()

    def enter(self) -> None:
        """Give the keyboard to whoever answers, at once: `focus` would miss the next key."""
        self.left = False
        self.ask(self.question or _NOTHING)
        self._entered = self.question
        self.screen.set_focus(self)

    def answer(self, letter: str) -> None:
        """Take an answer; what the question was about is then no longer asked."""
        question = self.question
        if question is not None and (letter in question.choices or not question.choices):
            self._go_back()
            question.answer(letter)

    def on_focus(self) -> None:
        """Say how to go back, also when the keyboard is here again with the terminal's window."""
        self.left = False
        self.ask(self.question)
        self.query(Way).refresh()

    def on_blur(self) -> None:
        """Say how to come here."""
        self.query(Way).refresh()
        if self.question is _NOTHING:
            self.ask(None)

    def on_key(self, event: events.Key) -> None:
        """Answer, or go back; no other key does anything here but those for the whole editor."""
        typed = event.is_printable or event.key in ("enter", "tab", "backspace", "delete")
        if event.key != "escape" and not typed:
            return
        event.stop()
        event.prevent_default()
        if self.left:
            return
        if event.key == "escape":
            self._go_back()
        elif self.question in (self._entered, _NOTHING) or monotonic() > self._asked + _UNSEEN:
            self.answer((event.character or "").lower())

    def on_click(self) -> None:
        """Where to answer."""
        self.enter()

    def _go_back(self) -> None:
        self.left = True
        self.post_message(self.Left())

    def on_resize(self) -> None:
        """Lay out for the width."""
        self._lay_out()

    def _lay_out(self) -> None:
        if self.question is not None:
            cells = [len(f" K  {word}  ") for word in self.question.choices.values()]
            needed = cell_len(self.question.words) + sum(cells) + len(" Esc  later  ")
            self.set_class(self.app.size.width < needed + 2, "-tight")


class Choice(Static):
    """A letter and what it does."""

    def __init__(self, letter: str, word: str) -> None:
        self.letter = letter
        super().__init__(_key(letter.upper(), word))

    def on_click(self, event: events.Click) -> None:
        """As the letter does."""
        event.stop()
        next(one for one in self.ancestors if isinstance(one, Bar)).answer(self.letter)


class Way(Static):
    """How to get to the letters, or back."""

    def __init__(self, back: str) -> None:
        super().__init__()
        self._back = back

    def render(self) -> Content:
        """What it says now."""
        there = self.app.focused is not None and self.app.focused in self.ancestors
        return _key("Esc", self._back) if there else _key("F10", "then")


def _key(key: str, word: str) -> Content:
    return Content.assemble((f" {key} ", "reverse bold"), f" {word}  ")


class Questions(Desk):
    """Questions about files that may wait."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(_KEYS, "answer", "answer what is asked", show=False, id="answer"),
    ]

    @cached_property
    def bar(self) -> Bar:
        """Where it is asked."""
        return Bar()

    @cached_property
    def questions(self) -> dict[Question, Editor | None]:
        """What is asked, and about which file, None for all; the oldest first."""
        return {}

    @on(events.Mount)
    async def _put_bar(self) -> None:
        """Have it ready before any key comes."""
        await self.mount(self.bar, before=self.status)
        self._show_question()

    def ask_about(self, editor: Editor | None, question: Question) -> None:
        """Ask something about a file, or about all of them."""
        self.questions[question] = editor
        self._show_question()

    def withdraw(self, question: Question) -> None:
        """Ask it no longer."""
        if question in self.questions:
            del self.questions[question]
            self._show_question()

    def give_keyboard(self) -> None:
        """To the file in front, but not while somebody is at the bar."""
        if self.focused is not self.bar or self.bar.left:
            super().give_keyboard()

    def action_answer(self) -> None:
        """Go to the bar."""
        self.bar.enter()

    @on(Bar.Left)
    def _back_to_text(self) -> None:
        if self.bar.left:
            self.editor.screen.set_focus(self.editor)  # a diff may be in front of it

    @on(Tabs.TabActivated)
    def _show_question(self) -> None:
        for question, editor in list(self.questions.items()):
            if editor not in (None, *self.editors):
                del self.questions[question]
        asked = self.questions.items()
        front = [one for one, editor in asked if editor in (None, self.editor)]
        if self.bar.is_mounted and self.screen_stack:  # a tab's last word may come at the very end
            self.bar.ask(next(iter([*front, *self.questions]), None))
