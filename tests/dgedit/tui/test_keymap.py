"""Every key has an id, does one thing, and may be another one if the user says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual import actions
from textual.widgets import TextArea

from dgedit.config import Settings
from dgedit.errors import Exit, UsageError
from dgedit.tui import bindings as keys
from dgedit.tui.app import DgeditApp
from dgedit.tui.editor.editor import Editor
from dgedit.tui.keymap import ACTIONS
from scripted import Script

from .conftest import Desk

IDS = """
mask point fill live cancel reject instruct accept accept-all accept-hole accept-word accept-line
candidate result-diff candidate-before accept-word-here accept-line-here step-back step-forth
refine-selection hold-selection confidence draft-left draft-right draft-left-select
draft-right-select holes given save leave open open-path new close save-as tree find replace
find-next find-previous to-line symbols search-project definition references back forth close-find
hover next-problem previous-problem problems
split other-side next-file previous-file answer help commands themes cursor-up cursor-down
cursor-left cursor-right cursor-line-start cursor-line-end cursor-page-up cursor-page-down
cursor-word-left cursor-word-right select-all cursor-word-left-select cursor-word-right-select
cursor-line-start-select cursor-line-end-select cursor-up-select cursor-down-select
cursor-left-select cursor-right-select delete-left delete-word-left delete-right select-word
delete-word-right cut copy paste delete-to-start-of-line delete-to-end-of-line delete-line undo redo
toggle-comment indent dedent move-lines-up move-lines-down duplicate-lines-upwards duplicate-lines
join select-lines to-bracket select-to-the-bracket start-of-the-text end-of-the-text
select-to-the-start select-to-the-end select-a-page-up select-a-page-down toggle-wrap
save-all select-occurrences cursor-above cursor-below expand-selection shrink-selection filter
next-change previous-change revert-change create-file create-folder rename-file duplicate-file
delete-file reveal-file complete-word complete-word-back
upper-case lower-case sort-lines line-ends indentation encoding language
reload
template
fold unfold fold-all unfold-all fold-level-1 fold-level-2 fold-level-3 fold-level-4
"""
"""Those that a user's settings may name: one that is taken away breaks them."""

# Keys that several actions share, since never more than one of them is asked for at a time.
SHARED = {"enter", "escape", "left", "right", "shift+left", "shift+right", "ctrl+right"}

# Keys that Textual's text area has for what has other keys as well; here they do something else.
FREED = {"ctrl+w", "f6", "f7"}


def test_ids_are_those_that_settings_know() -> None:
    assert {action.id for action in ACTIONS} >= set(IDS.split())
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)
    for action in ACTIONS:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", action.id), action.id


def test_every_action_calls_a_method_that_is_there(tmp_path: Path) -> None:
    app = DgeditApp([tmp_path / "a"], connect=Script)
    for action in ACTIONS:
        part, name, _ = actions.parse(action.call)
        if part:
            assert callable(getattr(getattr(app, part), name)), action.call
        else:
            assert action.of_text and callable(getattr(Editor, f"action_{name}")), action.call
        assert action.words == action.words.lower() and bool(action.hint) == bool(action.rank)


def test_what_textual_has_bound_is_the_table(tmp_path: Path) -> None:
    """That Textual adds no key of its own, and that the text area has none that is not here."""
    app = DgeditApp([tmp_path / "a"], connect=Script)
    for node, of_text in ((app, False), (app.editor, True)):
        bound = {(key, binding.action, binding.id) for key, binding in node._bindings}
        table = (action for action in ACTIONS if action.of_text is of_text)
        assert bound == {
            (key, one.binding, one.id) for one in table for key in one.keys or (keys.NO_KEY,)
        }
    theirs = {key for key, _ in TextArea._merged_bindings or ()}
    assert theirs - FREED <= {key for action in ACTIONS for key in action.keys}


def test_no_key_does_two_things() -> None:
    at: dict[str, str] = {}
    for action in ACTIONS:
        for key in action.keys:
            if key not in SHARED:
                assert key not in at, (key, at[key], action.id)
                at[key] = action.id


def test_keys_are_written_as_on_a_keyboard() -> None:
    given = "ctrl+s alt+left_square_bracket ctrl+slash ctrl+underscore shift+f2 f14 pageup ] + up X"
    shown = "Ctrl+S Alt+[ Ctrl+/ Shift+F2 PgUp ] + Up X"
    assert keys.written(given.split()) == shown.split()
    assert keys.written(["f14"]) == ["F14"]  # where it stands in for nothing
    for action in ACTIONS:
        assert all("_" not in one for one in keys.written(action.keys)), action.keys


def test_keys_may_be_changed_swapped_and_taken_away() -> None:
    def of(name: str, wanted: dict[str, str]) -> tuple[str, ...]:
        return next(one.keys for one in keys.rebound(ACTIONS, wanted) if one.id == name)

    assert of("save", {}) == ("ctrl+s",)
    assert of("save", {"save": "f24, ctrl+s"}) == ("f24", "ctrl+s")
    swap = {"save": "ctrl+q", "leave": "ctrl+s"}
    assert (of("save", swap), of("leave", swap)) == (("ctrl+q",), ("ctrl+s",))
    assert of("save", {"save": ""}) == ()
    assert of("leave", {"leave": "ctrl+z", "undo": ""}) == ("ctrl+z",)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"sav": "f24"}, "no action 'sav'; did you mean 'save'?"),
        ({"save": "ctrl+q"}, "ctrl+q is for both 'save' and 'leave'"),
        ({"save": "ctrl+z"}, "ctrl+z is for both 'save' and 'undo'"),
        ({"save": "f24", "leave": "f24"}, "f24 is for both 'save' and 'leave'"),
        ({"save": "crtl+s"}, "save = 'crtl+s': no such key"),
        ({"save": "ctrl+"}, "no such key"),
        ({"save": "ctrl+s,"}, "no such key"),
        ({"save": "f77"}, "no such key"),
        ({"save": "ctrl+saev"}, "no such key"),
    ],
)
def test_mistake_is_one_line_that_names_it(wanted: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        keys.rebound(ACTIONS, wanted)
    assert said in str(raised.value) and "\n" not in str(raised.value)
    assert raised.value.exit is Exit.USAGE
    with pytest.raises(UsageError):
        DgeditApp([], connect=Script, settings=Settings(keys=wanted))


async def test_keys_of_the_user_work_and_the_old_ones_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    wanted = {
        "save": "f24",
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
        await d.press("f24")
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
