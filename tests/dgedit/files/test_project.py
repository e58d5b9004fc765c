"""A project's files are found, without what is ignored; what was opened last is remembered."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dgedit.files.project import Rules, files_of, project_of
from dgedit.files.recent import Recent, recent_path
from fuzzed import ended_after


def made(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


def test_what_nobody_edits_is_left_out(tmp_path: Path) -> None:
    made(tmp_path, "a.py", "d/b.py", ".git/x", "d/__pycache__/b.pyc", "node_modules/m/i.js")
    made(tmp_path, ".venv/bin/python", ".env")
    assert list(files_of(tmp_path)) == [".env", "a.py", "d/b.py"]


def test_nearest_files_come_first_and_a_limit_ends_it(tmp_path: Path) -> None:
    made(tmp_path, "a/b/c.txt", "z.txt", "a/y.txt")
    assert list(files_of(tmp_path)) == ["z.txt", "a/y.txt", "a/b/c.txt"]
    assert list(files_of(tmp_path, 2)) == ["z.txt", "a/y.txt"]


def test_loops_and_what_cannot_be_read_do_no_harm(tmp_path: Path) -> None:
    made(tmp_path, "d/a.txt")
    (tmp_path / "d" / "up").symlink_to("..")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "file").symlink_to("d/a.txt")
    os.mkfifo(tmp_path / "pipe")
    assert list(files_of(tmp_path)) == ["file", "d/a.txt"]
    assert list(files_of(tmp_path / "none")) == []


IGNORES = {
    ".gitignore": "# words\n*.log\n!keep.log\n/build/\ndocs/*.html\n**/tmp\nx/**/y\n"
    "a[0-9].c\n[!x]z.c\nfolder/\n\\#odd\nspaced   \nbad[\nq?\nall/**\nb.\\*\n",
    "sub/.gitignore": "!a.log\n/own\ndeep/er\n",
}
LINES = """
    a.log keep.log sub/a.log sub/b.log build/o sub/build/o docs/i.html docs/d/i.html tmp/t
    e/tmp/t x/y x/1/2/y a1.c ab.c yz.c xz.c folder/f e/folder #odd spaced bad[ q1 q12 all/1/2
    b.* b.x sub/own own sub/deep/er deep/er
"""
NAMES = LINES.split()


@pytest.mark.skipif(not shutil.which("git"), reason="git is the oracle")
def test_gitignore_is_read_as_git_does(tmp_path: Path) -> None:
    made(tmp_path, *NAMES)
    for name, text in IGNORES.items():
        (tmp_path / name).write_text(text)
    command = ["git", "-c", "core.excludesFile=/dev/null", "-C", str(tmp_path)]
    subprocess.run([*command, "init", "-q"], check=True)
    listed = subprocess.run(
        [*command, "ls-files", "-zco", "--exclude-standard"], check=True, capture_output=True
    ).stdout.decode()
    expected = sorted(listed.rstrip("\0").split("\0"))
    assert len(expected) < len(NAMES)
    assert sorted(files_of(tmp_path)) == expected


def test_rules_of_a_folder_are_those_of_the_way_to_it(tmp_path: Path) -> None:
    made(tmp_path, "a/b/c.log")
    (tmp_path / ".gitignore").write_text("*.log\n")
    path = str(tmp_path / "a" / "b")
    assert Rules.within(str(tmp_path), path).ignore(path + "/c.log", folder=False)
    assert not Rules.within(path, path).ignore(path + "/c.log", folder=False)
    assert not Rules.within(path, str(tmp_path)).ignore(str(tmp_path / "c.log"), folder=False)


def test_project_is_the_folder_under_version_control(tmp_path: Path) -> None:
    made(tmp_path, "p/.git/x", "p/d/a.py", "q/a.py")
    assert project_of(tmp_path / "p" / "d" / "a.py") == tmp_path / "p"
    assert project_of(tmp_path / "q" / "a.py") == tmp_path / "q"


def test_recent_files_are_kept_newest_first(tmp_path: Path) -> None:
    kept = tmp_path / "state" / "recent"
    recent = Recent(kept)
    assert recent.paths() == []
    recent.add([Path("/a"), Path("/b")])
    recent.add([Path("/a"), Path("/c\nd"), Path("/\udcff")])
    assert Recent(kept).paths() == [Path("/\udcff"), Path("/a"), Path("/b")]
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in kept.parent.iterdir()] == ["recent"]
    recent.add(Path(f"/{i}") for i in range(150))
    assert len(recent.paths()) == 100 and recent.paths()[0] == Path("/149")


def test_recent_files_that_cannot_be_kept_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    recent = Recent(tmp_path / "file" / "recent")
    recent.add([Path("/a")])
    assert recent.paths() == []
    (tmp_path / "odd").write_bytes(b"relative\n/a\0b\n\n/ok\n")
    assert Recent(tmp_path / "odd").paths() == [Path("/ok")]
    nowhere = Recent(None)
    nowhere.add([Path("/a")])
    assert nowhere.paths() == [Path("/a")]


def test_recent_place_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert recent_path() == tmp_path / "dgedit" / "recent"


def test_fault_9_ignore_files_that_stall_no_walk(tmp_path: Path) -> None:
    made(tmp_path, "a" * 100, "/".join("a" * 40) + "/x", "d/" + "a" * 200)
    (tmp_path / ".gitignore").write_text("*a" * 30 + "b\n" + "**/a/" * 20 + "b\n")
    (tmp_path / "d" / ".gitignore").write_text("[!b]*" * 50 + "b\n" + "!" + "?*" * 60 + "b\n")
    with ended_after(10):
        assert len(list(files_of(tmp_path))) == 5
        assert not Rules.of(str(tmp_path)).ignore(str(tmp_path / ("a" * 250)), folder=False)


def test_fault_9_ignore_file_of_more_lines_than_people_write(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("\n".join(f"{n}*" for n in range(120_000)))
    with ended_after(20):
        rules = Rules.of(str(tmp_path))
    assert len(rules.own) == 5_000
    assert rules.ignore(str(tmp_path / "49"), folder=False)
