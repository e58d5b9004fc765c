"""A bar below the text that asks something without standing in the way.

Typing goes on. F10 or a click goes to the bar, where one letter answers; Escape goes back to the
text and leaves the question open; the bar says so. A letter of its own for each answer, pressed in
the text, would be taken from what the text needs it for. The letter after F10 is the bar's, also
where nothing is asked, and no letter answers twice: what is asked next was not seen yet.

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

# Who answers has not seen a question that took another's place so many seconds ago.
_UNSEEN = 0.5


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
    Bar AnswerKey:hover { background: $warning 30%; }
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
        self.query("AnswerKey, Way").remove()
        if question is not None:
            self.query_one(".words", Static).update(Content(question.words))
            answers = [AnswerKey(*pair) for pair in question.choices.items()]
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


class AnswerKey(Static):
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
