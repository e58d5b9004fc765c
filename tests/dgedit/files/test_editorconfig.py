"""What `.editorconfig` files say of a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dgedit.files.editorconfig import Indentation, indentation_of

TABS, BLANKS = Indentation(True), Indentation(False)


@pytest.mark.parametrize(
    ("glob", "name", "fits"),
    [
        ("*", "a.py", True),
        ("*", "b/a.py", True),
        ("*.py", "b/c/a.py", True),
        ("*.py", "a.pyc", False),
        ("*.{js,py}", "a.py", True),
        ("{a,b}.{c,py}", "b.c", True),
        ("*.{js,ts}", "a.py", False),
        ("/a.py", "a.py", True),
        ("/a.py", "b/a.py", False),
        ("b/*.py", "b/a.py", True),
        ("b/*.py", "b/c/a.py", False),
        ("b/**.py", "b/c/a.py", True),
        ("?.py", "a.py", True),
        ("[a-c].py", "b.py", True),
        ("[!a-c].py", "b.py", False),
        ("[!a-c].py", "d.py", True),
        ("[ab].py", "c.py", False),
        (r"\*.py", "a.py", False),
        (r"\*.py", "*.py", True),
        ("[.py", "[.py", True),
    ],
)
def test_section_is_for_files_that_its_pattern_fits(
    tmp_path: Path, glob: str, name: str, fits: bool
) -> None:
    (tmp_path / ".editorconfig").write_text(f"root = true\n[{glob}]\nindent_style = tab\n")
    assert indentation_of(tmp_path / name) == (TABS if fits else Indentation())


def test_nearer_files_and_later_sections_go_before_others(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / ".editorconfig").write_text(
        "\ufeff; ours\nROOT: True\n[*]\nindent_style = tab ; so\nindent_size = 3\n[*.md]\n"
        "Indent_Style=space\n"
    )
    (tmp_path / "b" / ".editorconfig").write_text("[*.py]\nindent_size=tab\ntab_width=8\n")
    assert indentation_of(tmp_path / "a.py") == Indentation(True, 3)
    assert indentation_of(tmp_path / "a.md") == Indentation(False, 3)
    assert indentation_of(tmp_path / "b" / "c" / "a.py") == Indentation(True, 8)
    (tmp_path / "b" / ".editorconfig").write_text("root=true\n[*.py]\nindent_size=2\n")
    assert indentation_of(tmp_path / "b" / "a.py") == Indentation(None, 2)


@pytest.mark.parametrize("size", ["0", "17", "-1", "1" * 9000, "x", "tab", "unset", "²"])
def test_size_that_is_none_says_nothing(tmp_path: Path, size: str) -> None:
    (tmp_path / ".editorconfig").write_text(f"root=true\n[*]\nindent_size = {size}\n")
    assert indentation_of(tmp_path / "a.py") == Indentation()


def test_what_is_no_small_file_says_nothing(tmp_path: Path) -> None:
    file, said = tmp_path / ".editorconfig", "root=true\n[*]\nindent_style=tab\n"
    file.write_text(said + "#" * 64_000)
    assert indentation_of(tmp_path / "a.py") == Indentation()
    file.unlink()
    os.mkfifo(file)
    assert indentation_of(tmp_path / "a.py") == Indentation()
    file.unlink()
    file.symlink_to("/dev/zero")
    assert indentation_of(tmp_path / "a.py") == Indentation()


def test_pattern_stalls_nothing(tmp_path: Path) -> None:
    """Each of these takes for ever where a matcher goes back."""
    long = ["*a" * 5000 + "b", "{a,b}" * 5000, "{" * 5000, "[a" * 5000]
    globs = ["*a" * 49 + "b", "**a" * 33, "{*a,*b}" * 14, "{" * 99, "[a" * 49] * 99
    text = "root=true\n" + "".join(f"[{glob}]\nindent_style=tab\n" for glob in long + globs)
    (tmp_path / ".editorconfig").write_text(text)
    assert indentation_of(tmp_path / ("c" * 200)) == Indentation()
    assert indentation_of(tmp_path / ("a" * 200)).width is None
