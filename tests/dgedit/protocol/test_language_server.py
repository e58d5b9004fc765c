"""A language server as a process: what it is told, what it finds, and how it ends."""

from __future__ import annotations

import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fakelsp
from dgedit.protocol.language_server import LanguageServer
from dgedit.protocol.replies import Problem, Severity, hovered, path_of, targets
from dgedit.protocol.told import Told

PATIENCE = 90
TEXT = 'é = "😀" + bad\r\ndef name():\n    odd\n    return name\n'


class Served:
    """A server, and what it has said."""

    def __init__(self, folder: Path, *modes: str) -> None:
        self.found: dict[Path, tuple[str, list[Problem]]] = {}
        self.ended: list[str] = []
        self.news = threading.Condition()
        command = [sys.executable, fakelsp.__file__, *modes]
        self.server = LanguageServer(command, folder, "python", self.take, self.end)

    def take(self, path: Path, text: str, problems: list[Problem]) -> None:
        with self.news:
            self.found[path] = text, problems
            self.news.notify_all()

    def end(self, why: str) -> None:
        with self.news:
            self.ended.append(why)
            self.news.notify_all()

    def problems(self, path: Path, text: str) -> list[Problem]:
        """Wait for those of a text."""
        with self.news:
            assert self.news.wait_for(
                lambda: self.found.get(path, ("",))[0] == text or self.ended, PATIENCE
            )
            return self.found[path][1]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Served]]:
    started: list[Served] = []

    class Here(Served):
        def __init__(self, *modes: str) -> None:
            super().__init__(tmp_path, *modes)
            started.append(self)

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    yield Here  # type: ignore[misc]
    for one in started:
        one.server.stop()
        assert not one.server.running


@pytest.mark.parametrize("modes", [(), ("utf-8",), ("utf-32",), ("whole",), ("noise",), ("wild",)])
def test_problems_are_where_the_text_has_them(
    served: type[Served], tmp_path: Path, modes: tuple[str, ...]
) -> None:
    one, path = served(*modes), tmp_path / "a b.py"  # type: ignore[arg-type]
    one.server.tell(path, TEXT)
    found = one.problems(path, TEXT)
    assert [(TEXT[p.start : p.end], p.severity, p.words) for p in found] == [
        ("bad", Severity.ERROR, "bad is bad"),
        ("odd", Severity.WARNING, "odd is odd"),
    ]
    new = TEXT.replace("odd", "good").replace("é", "😀bad ")
    one.server.tell(path, new)
    assert [new[p.start : p.end] for p in one.problems(path, new)] == ["bad", "bad"]


def test_text_stays_the_same_on_both_sides(served: type[Served], tmp_path: Path) -> None:
    one, path, dice = served(), tmp_path / "a.py", random.Random(0)  # type: ignore[call-arg]
    text = TEXT
    for _ in range(60):
        start = dice.randrange(len(text) + 1)
        end = min(len(text), start + dice.choice((0, 0, 1, 5)))
        text = text[:start] + dice.choice(("bad ", "\r", "\n", "\r\n", "😀", "")) + text[end:]
        one.server.tell(path, text)
    one.server.tell(path, text := text + " bad")
    found = one.problems(path, text)
    assert found and all(text[p.start : p.end] in ("bad", "odd") for p in found)


def test_names_are_asked_about(served: type[Served], tmp_path: Path) -> None:
    one, path = served(), tmp_path / "a.py"  # type: ignore[call-arg]
    one.server.tell(path, TEXT)
    at = TEXT.rindex("name")
    assert one.server.hover(path, at).result(PATIENCE) == "name: 4\x1b[2J"
    found = one.server.definition(path, at).result(PATIENCE)
    assert one.server.places(found) == [(path, (1, 4))]
    assert one.server.hover(tmp_path / "other.py", 0).result(PATIENCE) == ""


def test_wild_answers_are_none(served: type[Served], tmp_path: Path) -> None:
    one, path = served("wild"), tmp_path / "a.py"  # type: ignore[arg-type]
    one.server.tell(path, TEXT)
    said = [one.server.hover(path, 0) for _ in range(20)]
    assert {answer.result(PATIENCE) for answer in said} <= {"", "x"}


def test_one_that_dies_says_so(served: type[Served], tmp_path: Path) -> None:
    one, path = served("dies"), tmp_path / "a.py"  # type: ignore[arg-type]
    one.server.tell(path, "die")
    with one.news:
        assert one.news.wait_for(lambda: one.ended, PATIENCE)
    assert one.ended == ["ended, exit code 3"] and not one.server.running
    one.server.tell(path, "more")  # and nothing happens
    assert not one.server.hover(path, 0).done()


def test_one_that_never_reads_is_given_up(served: type[Served], tmp_path: Path) -> None:
    one = served("deaf")  # type: ignore[arg-type]
    for number in range(3000):
        one.server.tell(tmp_path / "a.py", f"{number}" * 1000)
    assert one.ended == ["does not read what it is told"] and not one.server.running


def test_one_that_is_mute_is_ended(served: type[Served], tmp_path: Path) -> None:
    one = served("mute")  # type: ignore[arg-type]
    one.server.tell(tmp_path / "a.py", TEXT)
    began = time.monotonic()
    one.server.stop()
    assert not one.server.running and not one.ended and time.monotonic() - began < PATIENCE


def test_command_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LanguageServer(["./nowhere"], tmp_path, "python", print, print)


def test_a_real_one(tmp_path: Path) -> None:
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}")
    if ruff is None:
        pytest.skip("ruff is not installed")
    one, path = Served(tmp_path), tmp_path / "a.py"
    one.server.stop()
    one.server = LanguageServer([ruff, "server"], tmp_path, "python", one.take, one.end)
    one.server.tell(path, text := "é = undefined_name\n")
    found = one.problems(path, text)
    one.server.stop()
    assert any("undefined_name" in p.words and p.severity is Severity.ERROR for p in found)


LINES = st.text(st.sampled_from("aé😀\n\r"), max_size=12)


@given(LINES, LINES, st.sampled_from(["utf-8", "utf-16", "utf-32"]))
def test_changes_make_the_other_text(one: str, two: str, encoding: str) -> None:
    told = Told(one)
    (part,) = told.changes(two, encoding)  # type: ignore[arg-type]
    start, end = (
        told.offset(part["range"][side]["line"], part["range"][side]["character"], encoding)  # type: ignore[arg-type]
        for side in ("start", "end")
    )
    assert one[:start] + part["text"] + one[end:] == two


@pytest.mark.parametrize(
    "uri, path",
    [
        ("file:///a/b%20c.py", Path("/a/b c.py")),
        ("file://localhost/a", Path("/a")),
        ("file://elsewhere/a", None),
        ("https://example.com/a", None),
        ("file:///a%00b", None),
        ("file:relative", None),
        ("file://[", None),
        (7, None),
    ],
)
def test_only_files_have_paths(uri: object, path: Path | None) -> None:
    assert path_of(uri) == path


def test_links_and_locations_are_places() -> None:
    span = {"start": {"line": 2, "character": 3}, "end": {"line": 2, "character": 5}}
    link = {"targetUri": "file:///b", "targetRange": span, "targetSelectionRange": span}
    found = targets([{"uri": "file:///a", "range": span}, link, {"uri": 1}, None, {}])
    assert [(str(one.path), one.row, one.units) for one in found] == [("/a", 2, 3), ("/b", 2, 3)]
    assert targets({"uri": "file:///a", "range": span})[0].path == Path("/a")
    assert targets(None) == targets(3) == targets({"uri": "file:///a", "range": 3}) == []


def test_hover_in_all_its_forms() -> None:
    assert hovered({"contents": "a"}) == "a"
    assert hovered({"contents": {"kind": "markdown", "value": "b"}}) == "b"
    assert hovered({"contents": ["a", {"language": "python", "value": "b"}]}) == "a\n\nb"
