"""The instruction box: asks for an instruction and a strength.

Up and Down recall earlier instructions, Tab switches between text and strength, Left and Right
change the strength. With a result open, the box asks for it again: at strength 1 from scratch,
below from the draft that is shown. The box says what the model cannot do of this.

Knows words and a number; `controller.py` runs the infill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, Static

from dgedit.request.ability import not_followed
from dgedit.tui.infill.controller import NOTHING, InfillController
from dgedit.tui.widgets.dialogs import Modal
from dgedit.tui.widgets.line_input import LineInput

_STEPS = 20
_MOST = 100


@dataclass(frozen=True, slots=True)
class Instruction:
    """The user's answer."""

    instruction: str
    """The instruction; empty for none."""
    strength: float
    """The share of the present text that may change, 0 to 1."""


class Slider(Widget, can_focus=True):
    """A slider for a number from 0 to 1, in steps of 0.05."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,minus", "move(-1)", "less"),
        Binding("right,plus", "move(1)", "more"),
        Binding("pagedown", "move(-5)", "much less"),
        Binding("pageup", "move(5)", "much more"),
        Binding("home", "move(-20)", "none"),
        Binding("end", "move(20)", "all"),
    ]

    at = reactive(_STEPS)
    """The number of twentieths."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.set_reactive(Slider.at, round(value * _STEPS))

    @property
    def value(self) -> float:
        """The number, 0 to 1."""
        return self.at / _STEPS

    def action_move(self, by: int) -> None:
        """Move the knob by steps."""
        self.at = max(0, min(_STEPS, self.at + by))

    def on_click(self, event: events.Click) -> None:
        """Move the knob to the place of the click."""
        self.at = max(0, min(_STEPS, event.x))

    def render(self) -> Text:
        """Draw the track, its knob and the number."""
        track = "━" * self.at + "●" + "─" * (_STEPS - self.at)
        return Text(f"{track}  {self.value:.2f}", style="bold" if self.has_focus else "")


class Box(Modal[Instruction | None]):
    """A dialog for an instruction and a strength."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "close"),
        Binding("up", "recall(-1)", "earlier"),
        Binding("down", "recall(1)", "later"),
        Binding("enter", "answer", "fill"),
        Binding("tab,shift+tab", "turn", "words or strength"),
    ]

    def __init__(
        self, present: Instruction, history: Sequence[str], about: str, cannot: str = ""
    ) -> None:
        """Take the present values; `cannot` says what the model cannot do, in a line or two."""
        super().__init__()
        self.history = [*history, present.instruction]
        self.cannot = cannot
        self.present, self.about = present, about
        self.at = len(self.history) - 1

    def compose(self) -> ComposeResult:
        """Lay out the text, the strength and the keys."""
        with Vertical():
            yield Static(Content(self.about), classes="question")
            yield Static(classes="cannot")
            yield LineInput(self.present.instruction, placeholder="what fits", compact=True)
            yield Static("strength: how much of the present text is given up")
            yield Slider(self.present.strength)
            yield Static(Content(_KEYS), classes="keys")

    def on_mount(self) -> None:
        """Focus the text field."""
        self.query_one(Input).focus()
        self.tell(self.cannot)

    def tell(self, cannot: str) -> None:
        """Show what the model cannot do."""
        line = self.query_one(".cannot", Static)
        line.update(Content(cannot))
        line.display = bool(cannot)

    def action_recall(self, by: int) -> None:
        """Recall an earlier instruction, or the one being written."""
        field = self.query_one(Input)
        if self.at == len(self.history) - 1:
            self.history[-1] = field.value
        self.at = max(0, min(len(self.history) - 1, self.at + by))
        field.value = self.history[self.at]
        field.cursor_position = len(field.value)

    def action_turn(self) -> None:
        """Switch between the text and the strength."""
        field, slider = self.query_one(Input), self.query_one(Slider)
        self.set_focus(field if slider.has_focus else slider)

    @on(Input.Submitted)
    def action_answer(self) -> None:
        """Close the box with the answer."""
        words = " ".join(self.query_one(Input).value.split())
        self.dismiss(Instruction(words, self.query_one(Slider).value))

    def action_leave(self) -> None:
        """Close the box without an answer."""
        self.dismiss(None)


_KEYS = "Enter fill   ↑ ↓ earlier   Tab strength   ← → less, more   Esc close"


class Instructing:
    """Asks for an instruction and a strength, and fills with them."""

    def __init__(self, infill: InfillController) -> None:
        self.infill, self.workspace, self.app = infill, infill.workspace, infill.app
        self._said: tuple[str, ...] = ()
        self._strength = 1.0
        self._box: Box | None = None

    def ask(self) -> None:
        """Open the box, and fill with its answer; after a result, fill again."""
        self.workspace.work(self._ask, group="instruct")

    async def _ask(self) -> None:
        if self.infill.running:
            self.workspace.notice("an infill is running: Esc cancels")
            return
        if self.infill.fill is None and not any(editor.holes for editor in self.workspace.editors):
            self.workspace.notice(NOTHING)
            return
        if self.infill.fill is not None:
            fill = self.infill.fill
            present = Instruction(fill.said, fill.request.strength)
            about = "Once more: below strength 1 from the draft that is shown"
        else:
            present = Instruction("", self._strength)
            about = "Fill the holes: below strength 1 from the text they hold"
        self._box = Box(present, self._said, about, self._cannot())
        answer = await self.app.push_screen_wait(self._box)
        self._box = None
        if answer is None:
            return
        if answer.instruction:
            others = [one for one in self._said if one != answer.instruction]
            self._said = (*others[1 - _MOST :], answer.instruction)
        self._strength = answer.strength
        if refused := self._why_not(answer):
            self.workspace.notice(f"not rewritten: {refused}")
            return
        self.infill.ask(instruction=answer.instruction, strength=answer.strength)

    def _cannot(self) -> str:
        """Say what the model cannot do of what the box offers, if a model is loaded."""
        return "\n".join(filter(None, (self._unfollowed(), self.infill.unknown_language())))

    def _unfollowed(self) -> str:
        backend = self.infill.source.backend
        return not_followed(backend) if backend else ""

    def _why_not(self, answer: Instruction) -> str:
        """Explain why text is not rewritten by an instruction: a model that ignores it would only
        make some other text. Empty holes are filled with any instruction.
        """
        held = any(hole.start < hole.end for one in self.workspace.editors for hole in one.holes)
        rewrites = (
            answer.instruction and answer.strength < 1 and (held or self.infill.fill is not None)
        )
        return self._unfollowed() if rewrites else ""

    def connected(self) -> None:
        """Update a box that was opened before the model was loaded."""
        if self._box is not None and self._box.is_mounted:
            self._box.tell(self._cannot())
