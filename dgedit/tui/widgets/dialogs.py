"""Dialogs: modal screens, and a question that one key answers."""

from __future__ import annotations

from typing import TypeVar

from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

Answer = TypeVar("Answer")


class Modal(ModalScreen[Answer]):
    """A screen that is answered once: keys that arrive after the answer, in the same read of the
    terminal, do not answer again.
    """

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Close with an answer, unless it is closed already."""
        return super().dismiss(result) if self.app.screen is self else AwaitComplete()


class Waiting(Modal[None]):
    """Says what is waited for; Escape leaves it."""

    left = False
    """Whether the user left it."""

    def __init__(self, words: str, leave: str) -> None:
        """`leave` is what Escape does, in a word."""
        super().__init__()
        self.words, self.leave = words, leave

    def compose(self) -> ComposeResult:
        """Yield the words above the key."""
        with Vertical():
            yield Static(Content(self.words), classes="question")
            yield Static(Content.assemble((" Esc ", "reverse bold"), f" {self.leave}"))

    def on_key(self, event: events.Key) -> None:
        """Leave; any other key is for nobody."""
        event.stop()
        event.prevent_default()
        if event.key == "escape":
            self.left = True
            self.dismiss()


class Ask(Modal[str | None]):
    """A question; the answer is the key of one of the choices, or None for Escape."""

    def __init__(self, question: str, choices: dict[str, str]) -> None:
        super().__init__()
        self.question = question
        self.choices = choices

    def compose(self) -> ComposeResult:
        """Lay out the question above its keys."""
        keys = [(f" {key} ", "reverse bold") for key in self.choices]
        words = [f" {word}   " for word in self.choices.values()]
        answers = [part for pair in zip(keys, words, strict=True) for part in pair]
        with Vertical():
            yield Static(Content(self.question), classes="question")
            yield Static(Content.assemble(*answers, (" Esc ", "reverse bold"), " stay"))

    def on_key(self, event: events.Key) -> None:
        """Close with the key's choice, if it has one."""
        event.stop()
        event.prevent_default()
        key = (event.character or event.key).lower()
        if key in self.choices or event.key == "escape":
            self.dismiss(key if key in self.choices else None)
