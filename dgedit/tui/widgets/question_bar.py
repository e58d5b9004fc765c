"""A bar below the text that asks a question without interrupting.

Typing in the text goes on. F10 or a click moves the focus to the bar, where one letter answers;
Escape returns to the text and leaves the question open, as the bar says. A direct key for each
answer would take it from the text. The letter after F10 always belongs to the bar, even if nothing
is asked, and a letter answers only once: the user has not seen the next question yet.

Knows questions; nothing of what they are about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

# Seconds for which a question that replaced another counts as not yet seen.
_UNSEEN = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A question to the user."""

    words: str
    """The question's text, safe to show."""
    choices: Mapping[str, str]
    """The letters that answer, each with a description."""
    answer: Callable[[str], None]
    """Called with the letter."""


_NOTHING = Question("nothing is asked", {}, lambda letter: None)
"""Shown if the bar is entered while nothing is asked. Any letter returns to the text."""


class Bar(Horizontal, can_focus=True):
    """The question and its answers, in one row if they fit. Hidden while nothing is asked."""

    DEFAULT_CSS = """
    Bar { height: auto; padding: 0 1; background: $warning 20%; display: none; }
    Bar.-asks { display: block; }
    Bar:focus { background: $warning 40%; }
    Bar Static { width: auto; height: 1; }
    Bar .words { width: 1fr; height: auto; }
    Bar .answers { width: auto; height: 1; }
    Bar.-tight { layout: vertical; }
    Bar AnswerKey:hover { background: $warning 30%; }
    """

    class Left(Message):
        """The focus is to return to the text."""

    def __init__(self) -> None:
        super().__init__()
        self.question: Question | None = None
        """The question that is shown."""
        self.left = False
        """True while the focus is about to return to the text."""
        self._asked = 0.0
        self._entered: Question | None = None  # the question when the bar got the focus

    def compose(self) -> ComposeResult:
        """Lay out an empty bar."""
        yield Static(classes="words")
        yield Horizontal(classes="answers")

    def ask(self, question: Question | None) -> None:
        """Show a question in place of the previous one; None hides the bar, unless it has the
        focus.
        """
        if question is None and self.app.focused is self and not self.left:
            question = _NOTHING
        if question is self.question:
            return
        self.question, self._asked = question, monotonic()
        self.set_class(question is not None, "-asks")
        self.query("AnswerKey, Way").remove()
        if question is not None:
            self.query_one(".words", Static).update(Content(question.words))
            answers = [AnswerKey(*pair) for pair in question.choices.items()]
            back = "later" if question.choices else "back"
            self.query_one(".answers").mount_all([Way(back), *answers])
            self._lay_out()

    def enter(self) -> None:
        """Focus the bar at once: `focus` would miss the next key."""
        self.left = False
        self.ask(self.question or _NOTHING)
        self._entered = self.question
        self.screen.set_focus(self)

    def answer(self, letter: str) -> None:
        """Answer the question with a letter, and return to the text."""
        question = self.question
        if question is not None and (letter in question.choices or not question.choices):
            self._go_back()
            question.answer(letter)

    def on_focus(self) -> None:
        """Show how to return, also when the terminal's window gets the focus again."""
        self.left = False
        self.ask(self.question)
        self.query(Way).refresh()

    def on_blur(self) -> None:
        """Show how to get to the bar."""
        self.query(Way).refresh()
        if self.question is _NOTHING:
            self.ask(None)

    def on_key(self, event: events.Key) -> None:
        """Answer, or return to the text; only keys for the whole editor work otherwise."""
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
        """Focus the bar."""
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


class AnswerKey(Static):
    """A letter and its description."""

    def __init__(self, letter: str, word: str) -> None:
        self.letter = letter
        super().__init__(_key(letter.upper(), word))

    def on_click(self, event: events.Click) -> None:
        """Answer with the letter."""
        event.stop()
        next(one for one in self.ancestors if isinstance(one, Bar)).answer(self.letter)


class Way(Static):
    """The key that leads to the bar, or back to the text."""

    def __init__(self, back: str) -> None:
        super().__init__()
        self._back = back

    def render(self) -> Content:
        """Show the key that works now."""
        there = self.app.focused is not None and self.app.focused in self.ancestors
        return _key("Esc", self._back) if there else _key("F10", "then")


def _key(key: str, word: str) -> Content:
    return Content.assemble((f" {key} ", "reverse bold"), f" {word}  ")
