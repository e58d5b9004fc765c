"""What is read without being named is a regular file of a stated size, or one line of error."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dgedit import config
from dgedit.errors import InputError, UsageError
from dgedit.files import small
from dgedit.files.journal import Journal
from dgedit.files.project import Rules
from dgedit.files.recent import LastTheme, Recent
from dgedit.files.watching import operation_around
from dgedit.models import hub
from fuzzed import ended_after

ROOT = Path(__file__).parents[3]


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def large(path: Path) -> None:
    """Larger than the machine, in no room on the disk."""
    with path.open("wb") as file:
        file.truncate(1 << 42)


def folder(path: Path) -> None:
    path.mkdir()


HARM = [device, pipe, large, folder]
harm = pytest.mark.parametrize("make", HARM, ids=lambda make: make.__name__)


@harm
def test_fault_10_what_is_no_small_file_is_refused_in_a_line(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "f")
    with ended_after(10), pytest.raises(InputError) as caught:
        small.text(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value) and "\n" not in str(caught.value)


@harm
def test_fault_10_settings_of_a_project_are_refused_in_a_line(
    tmp_path: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / config.PROJECT)
    with ended_after(10), pytest.raises(UsageError, match=r"\.dgedit\.toml"):
        config.current()


@harm
def test_fault_10_files_of_a_tree_and_of_ours_are_as_if_they_were_not_there(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    for name in (".gitignore", ".git", "recent", "theme", hub.ORIGIN, "journal/a.text"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        make(tmp_path / name)
    with ended_after(10):
        assert Rules.of(str(tmp_path)).own == ()
        assert operation_around(tmp_path / "a.py") is None
        assert Recent(tmp_path / "recent").paths() == []
        assert LastTheme(tmp_path / "theme").read() == ""
        assert hub.origin(tmp_path)["repo"] == ""
        assert list(Journal(tmp_path / "journal").left(None)) == []


def test_text_has_no_mark_and_only_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert small.text(path) is None
    path.write_bytes(b"\xef\xbb\xbfa\r\n")
    assert small.text(path) == "a\r\n"
    path.write_bytes(b"ab\xff")
    with pytest.raises(InputError, match="not UTF-8: byte 3"):
        small.text(path)
    assert small.text(path, errors="replace") == "ab\ufffd"
    path.write_bytes(b"x" * 10)
    assert small.read(path, most=10) == b"x" * 10
    with pytest.raises(InputError, match="larger than 9 bytes"):
        small.read(path, most=9)
    path.unlink()
    path.symlink_to("f")
    with pytest.raises(InputError):
        small.read(path, most=9)


def test_fault_22_settings_with_a_mark_are_read_and_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf# mine\n[keys]\n")
    assert config.load(path) == {"keys": {}}
    config.change("effort", 0.25, path)
    assert path.read_bytes() == b"\xef\xbb\xbfeffort = 0.25\n# mine\n[keys]\n"
    assert config.load(path)["effort"] == 0.25


def test_fault_10_settings_that_take_the_reader_long_are_too_large(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("a." * 200_000 + "a = 1\n")
    with ended_after(10), pytest.raises(UsageError, match="larger than"):
        config.load(path)


READS = {"read_text", "read_bytes"}
MAY = {
    "dgedit/commands/output.py": "the kernel's word on a process; streams in place of closed ones",
    "dgedit/doctor/checks.py": "the kernel's word on a driver",
    "dgedit/engines/warm/client.py": "the log and the lock, which we write",
    "dgedit/engines/warm/server.py": "the kernel's word on this process",
    "dgedit/files/disk.py": "the one that opens files, and refuses all but regular ones",
    "dgedit/files/journal.py": "the kernel's word on a process; what we write",
    "dgedit/files/recent.py": "what we write",
    "dgedit/files/saving.py": "what we write; folders, to sync them",
    "dgedit/lsp/stdio.py": "standard input and output, and nothing in their place",
    "dgedit/models/choosing.py": "a stand-in for a file, which we write",
    "dgedit/models/hub.py": "a file that we fetch",
    "dgedit/text/languages.py": "the queries of an installed grammar",
    "dgedit/tui/bench.py": "for developers: files of Python's own",
    "dgedit/tui/workspace/stdin.py": "the terminal",
}
"""Who may open a file without `small`, and why."""


def opened(tree: ast.AST) -> Iterator[ast.Call]:
    """The calls that open or read a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            mode = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else 0
            path = called == "open" and isinstance(mode, str) and set(mode) <= set("rwaxbt+")
            plain = ast.unparse(node.func) in ("open", "os.open", "io.open", "tomllib.load")
            if called in READS or path or plain:
                yield node


def test_fault_10_files_are_read_in_one_way() -> None:
    """Who reads another file goes through `small`, or says here why not."""
    found = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "dgedit").rglob("*.py")
        if any(opened(ast.parse(file.read_text())))
    }
    assert found == set(MAY)
