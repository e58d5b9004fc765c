"""Searching a project: every file once, as it is being edited, and none that is no text."""

from __future__ import annotations

import os
import re
import sys
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgedit.files import disk
from dgedit.files.searching import (
    LETTERS,
    Counts,
    OpenFile,
    Scope,
    Wanted,
    may_hold,
    search_project,
)
from dgedit.text.search import Query, SearchError, hits


def found(
    folder: Path, query: Query, where: str = "", held: tuple[OpenFile, ...] = (), most: int = 1000
) -> tuple[dict[str, list[tuple[int, int]]], Counts, str]:
    """The places in each file, what was looked at, and why there may be more."""
    wanted = Wanted(partial(hits, query=query), *query.needle)
    places: dict[str, list[tuple[int, int]]] = {}
    counts, cut = Counts(), ""
    for batch in search_project(folder, wanted, Scope.of(where), held, most=most):
        for one in batch.found:
            assert one.name not in places
            places[one.name] = [hit.start for hit in one.hits]
        counts.add(batch.counts)
        cut = batch.cut or cut
    return places, counts, cut


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, data in {
        "a.py": b"one\ntwo\n",
        "b.md": b"one One ones\r\none\r\n",
        "src/c.py": "\ufeffone".encode("utf-16-le"),
        "src/d.py": b"caf\xe9 one\n",
        "src/bin": b"one\0two",
        "build/e.py": b"one\n",
        ".gitignore": b"build/\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_files_that_are_ignored_or_no_text_are_left_out(tree: Path) -> None:
    places, counts, cut = found(tree, Query("one", case=True))
    assert places == {
        "a.py": [(0, 0)],
        "b.md": [(0, 0), (0, 8), (1, 0)],
        "src/c.py": [(0, 0)],
        "src/d.py": [(0, 5)],
    }
    assert counts == Counts(files=5, binary=1) and not cut


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("*.py", "a.py src/c.py src/d.py"),
        ("*.py, !src", "a.py"),
        ("src/", "src/c.py src/d.py"),
        ("/src/*.py !d.py", "src/c.py"),
        ("!*.py", "b.md"),
        ("s*c", "src/c.py src/d.py"),
        ("c.p", ""),
    ],
)
def test_globs_say_which_files(tree: Path, where: str, names: str) -> None:
    assert set(found(tree, Query("one"), where)[0]) == set(names.split())


def test_glob_that_makes_no_sense_is_named() -> None:
    with pytest.raises(ValueError, match=re.escape("[a makes no sense as a glob")):
        Scope.of("*.py [a")


def test_text_that_is_edited_is_searched_and_not_the_disk(tree: Path) -> None:
    os.link(tree / "a.py", tree / "again.py")
    held = (
        OpenFile(tree / "a.py", ["", "x one"]),
        OpenFile(tree / "build" / "e.py", ["one"]),
        OpenFile(tree / "new.py", ["one"]),
        OpenFile(tree.parent / "outside.py", ["one"]),
    )
    places, _, _ = found(tree, Query("one"), "*.py !src", held)
    assert places == {"a.py": [(1, 2)], "build/e.py": [(0, 0)], "new.py": [(0, 0)]}
    (tree.parent / "link.py").symlink_to(tree / "a.py")
    places, _, _ = found(
        tree, Query("x one"), "a.py", (OpenFile(tree.parent / "link.py", ["x one"]),)
    )
    assert places == {"a.py": [(0, 0)]}


def test_too_many_places_end_it_and_say_so(tree: Path) -> None:
    places, _, cut = found(tree, Query("o"), most=3)
    assert sum(map(len, places.values())) == 3 and cut == "stopped at 3 places"
    assert found(tree, Query("one", case=True), most=6)[2] == ""


def test_file_that_cannot_be_had_is_counted(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "gone").symlink_to(tree / "a.py")
    (tree / "huge").write_bytes(b"one")
    os.truncate(tree / "huge", 20_000_000)
    opened = disk.opened

    def refused(path: Path, flags: int = disk.READ) -> AbstractContextManager[int]:
        if path == tree / "b.md":
            raise PermissionError
        return opened(path, flags)

    monkeypatch.setattr(disk, "opened", refused)
    places, counts, _ = found(tree, Query("two"))
    assert set(places) == {"a.py", "gone"}
    assert (counts.unread, counts.large) == (1, 1)


def test_expression_that_takes_too_long_ends_it_and_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "slow.txt").write_text("a" * 40 + "!\n")
    query = Query("(a|aa)+$", regex=True)
    wanted = Wanted(partial(hits, query=query, seconds=0.05))
    with pytest.raises(ValueError, match=r"given up: this takes longer than .*: slow\.txt"):
        list(search_project(tmp_path, wanted, Scope()))
    with pytest.raises(SearchError, match="missing"):
        next(hits("", Query("(", regex=True)), None)


def test_closing_it_ends_it(tmp_path: Path) -> None:
    for at in range(3000):
        (tmp_path / f"{at:04}").write_bytes(b"one\n")
    looked: list[str] = []

    def find(text: str) -> list[str]:
        looked.append(text)
        return [text]

    search = search_project(tmp_path, Wanted(find), Scope())
    assert next(search).found
    search.close()
    count = len(looked)
    assert count < 3000


@given(
    st.text("kKsSiI\u0130\u0131\u017f\u212aé\n", max_size=6), st.text("ksi", min_size=1, max_size=2)
)
def test_bytes_are_no_reason_to_miss_a_text(text: str, what: str) -> None:
    query = Query(what)
    needle, fold = query.needle
    data = text.encode()
    if re.search(what, text, re.IGNORECASE):
        assert may_hold(data, needle, fold)


def test_letters_that_are_like_an_ascii_one_are_all_known() -> None:
    other = map(chr, (one for one in range(128, sys.maxunicode + 1)))
    like = {one for one in other if re.fullmatch("[a-z]", one, re.IGNORECASE)}
    assert like == {letter.decode() for letter in LETTERS}
