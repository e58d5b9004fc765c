"""Every key has an id, does one thing, and may be another one if the user says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.binding import Binding

from dgedit.config import Settings
from dgedit.errors import Exit, UsageError
from dgedit.tui import keymap as keys
from dgedit.tui.app import DgeditApp, Rooms
from dgedit.tui.editor.editor import Editor
from dgedit.tui.workspace.tabs import Desk as Base
from dgedit.tui.workspace.tabs import Page

from .conftest import Desk, Script

KNOWN = keys.actions(Rooms, Base, [Editor])

# Keys that several actions share, since never more than one of them is asked for at a time.
SHARED = {"enter", "escape", "left", "right", "shift+left", "shift+right", "ctrl+right"}


def test_every_binding_has_an_id() -> None:
    for cls in (DgeditApp, Page):
        bindings = list(Binding.make_bindings(cls.__dict__["BINDINGS"]))
        assert len(bindings) > 5
        assert all(binding.id for binding in bindings)


def test_what_textual_has_bound_is_what_is_gathered(tmp_path: Path) -> None:
    """That Textual asks these classes, and no other of theirs, for their keys."""
    app = DgeditApp([tmp_path / "a"], connect=Script)
    for node, classes in ((app, [DgeditApp]), (app.editor, [Page])):
        declared = {
            (binding.key, binding.action, binding.id)
            for cls in classes
            for binding in Binding.make_bindings(cls.__dict__["BINDINGS"])
        }
        bound = {(key, binding.action, binding.id) for key, binding in node._bindings}
        assert bound == declared
    theirs = {(key, binding.action) for key, binding in Editor._merged_bindings or ()}
    freed = {pair for pair in theirs if pair[0] in keys._FREED}
    assert {key for key, _ in freed} == keys._FREED
    assert theirs - freed == {(key, binding.action) for key, binding in Page._merged_bindings or ()}


def test_ids_tell_actions_apart() -> None:
    pairs = {(action.id, action.action) for action in KNOWN}
    everything = keys.rooms(Rooms, Base) + keys.widget(Editor)
    assert {(binding.id, binding.action) for binding in everything} == pairs
    assert len(pairs) == len({name for name, _ in pairs})
    for name, _ in pairs:
        assert name == name.lower().strip("-") and " " not in name, name


def test_no_key_does_two_things() -> None:
    at: dict[str, str] = {}
    for action in KNOWN:
        for key in action.keys:
            if key not in SHARED:
                assert key not in at, (key, at[key], action.id)
                at[key] = action.id


def test_names_are_made_of_what_is_there() -> None:
    def name(action: str, words: str = "") -> str | None:
        return keys.named(Binding("f3", action, words)).id

    assert name("delete_line") == "delete-line"
    assert name("app.turn(1)") == "next-file"
    assert name("cursor_up(True)") == "cursor-up-select"
    assert name("to_end(-1)", "Start of the text") == "start-of-the-text"
    assert keys.named(Binding("f3", "x", id="own")).id == "own"


def test_keys_are_written_as_on_a_keyboard() -> None:
    given = "ctrl+s alt+left_square_bracket ctrl+slash ctrl+underscore shift+f2 f14 pageup ] + up X"
    shown = "Ctrl+S Alt+[ Ctrl+/ Shift+F2 PgUp ] + Up X"
    assert keys.written(given.split()) == shown.split()
    assert keys.written(["f14"]) == ["F14"]  # where it stands in for nothing
    for action in KNOWN:
        assert all("_" not in one for one in keys.written(action.keys)), action.keys


def test_keys_may_be_changed_swapped_and_taken_away() -> None:
    def of(name: str, wanted: dict[str, str]) -> tuple[str, ...]:
        return next(one.keys for one in keys.rebound(KNOWN, wanted) if one.id == name)

    assert of("save", {}) == ("ctrl+s",)
    assert of("save", {"save": "f20, ctrl+s"}) == ("f20", "ctrl+s")
    swap = {"save": "ctrl+q", "leave": "ctrl+s"}
    assert (of("save", swap), of("leave", swap)) == (("ctrl+q",), ("ctrl+s",))
    assert of("save", {"save": ""}) == ()
    assert of("leave", {"leave": "ctrl+z", "undo": ""}) == ("ctrl+z",)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"sav": "f20"}, "no action 'sav'; did you mean 'save'?"),
        ({"save": "ctrl+q"}, "ctrl+q is for both 'save' and 'leave'"),
        ({"save": "ctrl+z"}, "ctrl+z is for both 'save' and 'undo'"),
        ({"save": "f20", "leave": "f20"}, "f20 is for both 'save' and 'leave'"),
        ({"save": "crtl+s"}, "save = 'crtl+s': no such key"),
        ({"save": "ctrl+"}, "no such key"),
        ({"save": "ctrl+s,"}, "no such key"),
        ({"save": "f77"}, "no such key"),
        ({"save": "ctrl+saev"}, "no such key"),
    ],
)
def test_mistake_is_one_line_that_names_it(wanted: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        keys.rebound(KNOWN, wanted)
    assert said in str(raised.value) and "\n" not in str(raised.value)
    assert raised.value.exit is Exit.USAGE
    with pytest.raises(UsageError):
        DgeditApp([], connect=Script, settings=Settings(keys=wanted))


async def test_keys_of_the_user_work_and_the_old_ones_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    wanted = {
        "save": "f20",
        "undo": "f22",
        "leave": "",
        "delete-word-left": "ctrl+w",
        "close": "f21",
    }
    app = DgeditApp([path], connect=Script, watch=False, settings=Settings(keys=wanted))
    async with app.run_test() as pilot:
        d = Desk(app, pilot, Script())
        await d.press("x", "ctrl+s")
        assert path.read_text() == "one\n"
        await d.press("f20")
        assert path.read_text() == "xone\n"
        await d.press("ctrl+z")
        assert app.editor.text == "xone\n"
        await d.press("f22")
        assert app.editor.text == "one\n"
        await d.press("ctrl+q")
        assert not app._exit and len(app.screen_stack) == 1
        await d.press("end", "ctrl+w")
        assert app.editor.text == "\n" and app.editor.path == path
        await d.press("f21", "d")
        assert app.editor.path.name == "untitled"


async def test_rooms_share_a_key(tmp_path: Path) -> None:
    class One(Base):
        BINDINGS = [Binding("f20", "one", "one")]  # noqa: RUF012
        done = ""

        def action_one(self) -> None:
            self.done += "1"

        def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
            return not (action == "one" and self.done)

    class Two(Base):
        BINDINGS = [Binding("f20", "two", "two")]  # noqa: RUF012
        done: str

        def action_two(self) -> None:
            self.done += "2"

    class Both(One, Two):
        pass

    class Whole(Both, inherit_bindings=False):
        CSS_PATH = None
        BINDINGS = [*keys.rooms(Both, Base)]  # noqa: RUF012

    app = Whole([tmp_path / "a"])
    async with app.run_test() as pilot:
        await pilot.press("f20", "f20")
        assert app.done == "12"
