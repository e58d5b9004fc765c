"""Help says what is: each key, by what it is about, also those that the user chose."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from textual.containers import VerticalScroll
from textual.geometry import Region
from textual.widgets import Footer, Input, OptionList

from dgedit.config import Settings
from dgedit.errors import UsageError
from dgedit.files.recent import LastTheme
from dgedit.tui import bindings as keys
from dgedit.tui.app import DgeditApp
from dgedit.tui.help import Columns, Help
from dgedit.tui.keymap import ACTIONS
from dgedit.tui.start import _named_by
from dgedit.tui.widgets.picker import Choose
from scripted import Script

from .conftest import Desk, OpenDesk


def said(d: Desk) -> list[str]:
    assert isinstance(d.app.screen, Help)
    return str(d.app.screen.query_one(Columns).render()).splitlines()


async def test_f1_shows_every_action_that_has_a_key(desk: OpenDesk) -> None:
    async with desk({"a.py": b""}, size=(120, 24)) as d:
        await d.press("f1")
        lines = said(d)
        for action in d.app.actions:
            if action.keys:
                line = next(line for line in lines if line.split()[-1:] == [action.id])
                assert action.words in line
                assert line.split()[0] == d.app.guide.keys_of(action).split()[0]
        assert any("Ctrl+S" in line and "save" in line for line in lines)
        assert any("config.toml" in line for line in lines)
        example = "\n".join(lines[lines.index("  [keys]") :])
        changed = keys.rebound(ACTIONS, tomllib.loads(example)["keys"])
        assert changed != list(ACTIONS)
        for key in ("escape", "f1", "enter"):
            await d.press(key)
            assert d.app.focused is d.app.editor
            await d.press("f1")
        await d.press("pagedown")
        assert isinstance(d.app.screen, Help)


async def test_help_begins_with_infilling(desk: OpenDesk) -> None:
    async with desk({"a.py": b""}, size=(80, 24)) as d:
        await d.press("f1")
        shown = said(d)[: d.app.screen.query_one(VerticalScroll).size.height]
        for key, action in (
            ("F2", "mask"),
            ("F5", "fill"),
            ("F6", "instruct"),
            ("Enter", "accept"),
        ):
            line = next(line for line in shown if line.split()[-1:] == [action])
            assert key in line.split()


@pytest.mark.parametrize("width", [80, 100, 160])
async def test_keys_words_and_ids_stand_in_whole_columns(desk: OpenDesk, width: int) -> None:
    async with desk({"a.py": b""}, size=(width, 24)) as d:
        await d.press("f1")
        shown = d.app.screen.query_one(Columns)
        lines = [
            line.text
            for line in shown.render_lines(Region(0, 0, shown.size.width, shown.size.height))
        ]
        assert [line.rstrip() for line in lines] == [line.rstrip() for line in said(d)]
        names = {action.id for action in d.app.actions if action.keys}
        rows = [line for line in lines if line.split()[-1:] and line.split()[-1] in names]
        assert sorted(line.split()[-1] for line in rows) == sorted(names)
        starts = {len(line.rstrip()) - len(line.split()[-1]) for line in rows}
        assert len(starts) == 1
        every = [key for action in d.app.actions for key in d.app.guide.keys_of(action).split()]
        columns = 4 + max(map(len, every)), starts.pop()
        for action in d.app.actions:
            if action.keys:
                keyed, worded = cells(lines, columns, action.id)
                assert keyed == d.app.guide.keys_of(action).split()
                assert worded == action.words.split()
        assert max(len(line.rstrip()) for line in lines) <= shown.size.width <= width


def cells(lines: list[str], columns: tuple[int, int], name: str) -> tuple[list[str], list[str]]:
    """The keys and the words of an action, from all of its rows."""
    words, names = columns
    rows = [next(i for i, line in enumerate(lines) if line[names:].strip() == name)]
    while lines[rows[-1] + 1].startswith("  ") and not lines[rows[-1] + 1][names:].strip():
        if not lines[rows[-1] + 1].strip():
            break
        rows.append(rows[-1] + 1)
    keyed = " ".join(lines[row][:words] for row in rows).split()
    return keyed, " ".join(lines[row][words:names] for row in rows).split()


async def test_keys_are_written_one_way(desk: OpenDesk) -> None:
    async with desk({"a.py": b""}, size=(100, 16)) as d:
        shown = [d.app.guide.keys_of(action) for action in d.app.actions]
        shown += [str(one.key_display) for one in d.app.query("FooterKey").results()]  # type: ignore[attr-defined]
        name = r"((Ctrl|Alt|Shift|Super)\+)*([A-Z][a-z]+([A-Z][a-z]+)?|F?\d\d?|[A-Z]|[^\w\s])"
        for one in " ".join(shown).split():
            assert re.fullmatch(name, one), one


async def test_help_and_footer_show_the_keys_of_the_user(tmp_path: Path) -> None:
    settings = Settings(keys={"save": "f24", "leave": ""})
    app = DgeditApp([tmp_path / "a"], connect=Script, watch=False, settings=settings)
    async with app.run_test(size=(80, 24)) as pilot:
        d = Desk(app, pilot, Script())
        await d.settled()
        footer = {
            key.description: key.key_display for key in app.query_one(Footer).query("FooterKey")
        }  # type: ignore[attr-defined]
        assert footer["save"].lower() == "f24"
        await d.press("f1")
        assert any(line.lower().split()[:1] == ["f24"] and "save" in line for line in said(d))
        assert not any(line.split()[-1:] == ["leave"] for line in said(d))


async def test_footer_has_the_few_most_important_keys(desk: OpenDesk) -> None:
    async with desk({"a.py": b""}, size=(100, 16)) as d:
        keys = [key.description for key in d.app.query("FooterKey").results()]  # type: ignore[attr-defined]
        assert {"mask", "fill", "save", "quit", "open", "help"} <= set(keys)
        footer = d.app.query_one(Footer)
        last = list(footer.query("FooterKey"))[-1]
        assert last.region.right <= footer.region.right  # all of them are seen


async def test_palette_does_what_is_chosen(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"a", "b.txt": b"b"}) as d:
        for key in ("alt+x", "ctrl+shift+p"):
            await d.press(key)
            screen = d.app.screen
            assert isinstance(screen, Choose)
            assert len(screen.choices) == len(d.app.actions)
            await d.press(*"next file", "enter")
        assert d.app.editor is d.app.editors[0]  # twice round
        await d.press("x", "alt+x", *"undo")
        aside = str(d.app.screen.query_one(OptionList).get_option_at_index(0).prompt)
        assert "Ctrl+Z" in aside
        await d.press("enter")
        assert d.app.editor.text == "a" and d.app.focused is d.app.editor
        await d.press("alt+x", *"new file", "enter", "y")
        assert d.app.editor.text == "y"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("split", "split"),
        ("unsplit", "split"),
        ("side by side", "split"),
        ("tree", "tree"),
        ("sidebar", "tree"),
        ("panel", "holes"),
        ("holes", "holes"),
        ("prompt", "given"),
        ("theme", "themes"),
        ("wrap", "toggle-wrap"),
        ("word wrap", "toggle-wrap"),
        ("uncomment", "toggle-comment"),
        ("Comment", "toggle-comment"),
        ("heat", "confidence"),
        ("confidence", "confidence"),
        ("strength", "instruct"),
        ("instruction", "instruct"),
        ("candidate", "candidate"),
        ("diff", "result-diff"),
        ("undo", "undo"),
        ("search", "find"),
        ("quit", "leave"),
        ("exit", "leave"),
        ("tab", "next-file"),
        ("goto", "to-line"),
        ("stop", "cancel"),
        ("keys", "help"),
    ],
)
async def test_palette_finds_what_people_call_it(desk: OpenDesk, typed: str, meant: str) -> None:
    async with desk({"a.txt": b"a"}, size=(80, 24)) as d:
        await d.press("alt+x")
        screen = d.app.screen
        assert isinstance(screen, Choose)
        screen.query_one(Input).value = typed
        await d.settled()
        first = [d.app.actions[at].id for at in screen._shown[:4]]
        assert meant in first


async def test_palette_says_when_a_command_makes_no_sense_now(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"a"}) as d:
        await d.press("alt+x")
        words = next(action.words for action in d.app.actions if action.id == "cancel")
        d.app.screen.query_one(Input).value = words
        await d.press("enter")
        assert d.notice == f"not now: {words}"


async def test_themes_are_seen_while_they_are_chosen(desk: OpenDesk) -> None:
    async with desk({"a.py": b"x = 1\n"}) as d:
        before = d.app.theme
        await d.press("alt+t", *"solarized-light")
        assert d.app.theme == "solarized-light"
        await d.press("escape")
        assert d.app.theme == before
        await d.press("alt+t", *"nord", "enter")
        assert d.app.theme == "nord"
        assert d.notice == "nord from now on"


async def test_theme_is_kept_for_the_next_start(tmp_path: Path) -> None:
    """Unless the settings name one; and what is no theme any more changes nothing."""
    kept = tmp_path / "state" / "theme"

    async def start(*keys: str, named_by: str = "") -> tuple[str, str]:
        last = LastTheme(kept, named_by)
        app = DgeditApp([tmp_path / "a"], connect=Script, watch=False, last_theme=last)
        async with app.run_test() as pilot:
            d = Desk(app, pilot, Script())
            await d.settled()
            await d.press(*keys)
            return app.theme, d.notice

    first, _ = await start()
    assert await start("alt+t", *"nord", "enter") == ("nord", "nord from now on")
    assert kept.read_text() == "nord\n" and kept.stat().st_mode & 0o077 == 0
    assert (await start())[0] == "nord"
    assert (await start("alt+t", *"dracula", "escape"))[0] == "nord"
    theme, said = await start("alt+t", *"gruv", "enter", named_by="/x/config.toml")
    assert theme == "gruvbox" and "/x/config.toml names a theme" in said
    assert (await start(named_by="/x/config.toml"))[0] == first
    assert (await start())[0] == "gruvbox"
    kept.write_bytes(b"\xff no such theme")
    assert (await start())[0] == first
    kept.unlink()
    kept.mkdir()
    assert (await start("alt+t", *"nord", "enter"))[0] == "nord"  # only not kept
    assert (await start())[0] == first


@pytest.mark.parametrize("where", ["nowhere", "config.toml", "DGEDIT_THEME"])
def test_what_names_a_theme_is_known(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("DGEDIT_THEME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert _named_by("theme") == ""
    if where == "config.toml":
        (tmp_path / "dgedit").mkdir()
        (tmp_path / "dgedit" / where).write_text('theme = "nord"\n')
        assert _named_by("theme") == str(tmp_path / "dgedit" / where)
    elif where == "DGEDIT_THEME":
        monkeypatch.setenv(where, "nord")
        assert _named_by("theme") == where


async def test_theme_of_the_users_own(tmp_path: Path) -> None:
    mine = {"base": "nord", "background": "#f0f0f0", "primary": "#012345"}
    settings = Settings(theme="mine", themes={"mine": mine})
    app = DgeditApp([tmp_path / "a"], connect=Script, watch=False, settings=settings)
    async with app.run_test():
        theme = app.current_theme
        assert (theme.name, theme.primary, theme.dark) == ("mine", "#012345", False)
        assert theme.secondary == app.available_themes["nord"].secondary
    with pytest.raises(UsageError, match=r"themes\.mine: no theme 'nrd'; did you mean 'nord'"):
        DgeditApp([], connect=Script, settings=Settings(themes={"mine": {"base": "nrd"}}))
