"""What `.editorconfig` files say of a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dgedit.files.editorconfig import EditorConfig, said_of

TABS = EditorConfig(True)


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
        ("b/**/a.py", "b/a.py", True),
        ("b/**/a.py", "b/c/d/a.py", True),
        ("a{1..12}.py", "a11.py", True),
        ("a{2..-1}.py", "a-1.py", True),
        ("a{1..3}.py", "a4.py", False),
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
    assert said_of(tmp_path / name) == (TABS if fits else EditorConfig())


def test_nearer_files_and_later_sections_go_before_others(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / ".editorconfig").write_text(
        "\ufeff; ours\nROOT: True\n[*]\nindent_style = tab ; so\nindent_size = 3\n[*.md]\n"
        "Indent_Style=space\n"
    )
    (tmp_path / "b" / ".editorconfig").write_text("[*.py]\nindent_size=tab\ntab_width=8\n")
    assert said_of(tmp_path / "a.py") == EditorConfig(True, 3, 3)
    assert said_of(tmp_path / "a.md") == EditorConfig(False, 3, 3)
    assert said_of(tmp_path / "b" / "c" / "a.py") == EditorConfig(True, 8, 8)
    (tmp_path / "b" / ".editorconfig").write_text("root=true\n[*.py]\nindent_size=2\n")
    assert said_of(tmp_path / "b" / "a.py") == EditorConfig(None, 2, 2)


@pytest.mark.parametrize("size", ["0", "17", "-1", "1" * 9000, "x", "tab", "unset", "²"])
def test_size_that_is_none_says_nothing(tmp_path: Path, size: str) -> None:
    (tmp_path / ".editorconfig").write_text(f"root=true\n[*]\nindent_size = {size}\n")
    said = said_of(tmp_path / "a.py")
    assert (said.size, said.tab_width) == (None, None)
    assert bool(said.broken) is (size not in ("tab", "unset"))


def test_what_is_no_small_file_says_nothing(tmp_path: Path) -> None:
    file, said = tmp_path / ".editorconfig", "root=true\n[*]\nindent_style=tab\n"
    file.write_text(said + "#" * 64_000)
    assert said_of(tmp_path / "a.py") == EditorConfig(broken=f"{file} is too large")
    file.unlink()
    os.mkfifo(file)
    assert said_of(tmp_path / "a.py") == EditorConfig(broken=f"{file} is not a regular file")
    file.unlink()
    file.symlink_to("/dev/zero")
    assert said_of(tmp_path / "a.py") == EditorConfig(broken=f"{file} is not a regular file")


def test_pattern_stalls_nothing(tmp_path: Path) -> None:
    """Each of these takes for ever where a matcher goes back."""
    long = ["*a" * 5000 + "b", "{a,b}" * 5000, "{" * 5000, "[a" * 5000]
    some = ["*a" * 49 + "b", "**a" * 33, "{*a,*b}" * 14, "{" * 99, "[a" * 49, "/**/" * 24 + "x"]
    for globs in (long, some * 99, ["{1..99999}" * 9]):
        parts = [f"[{glob}]\nindent_style=tab\n" for glob in globs]
        text = "root=true\n" + "".join(parts)
        text = text[: text.rfind("[", 0, 64_000)] if len(text) > 64_000 else text
        (tmp_path / ".editorconfig").write_text(text)
        assert said_of(tmp_path / ("c" * 200)) == EditorConfig()
        said = said_of(tmp_path / ("a" * 200))
        assert said.size is None and not said.broken


def test_all_of_the_standard_is_understood(tmp_path: Path) -> None:
    (tmp_path / ".editorconfig").write_text(
        "root=true\n[*]\nindent_style = TAB\nindent_size = tab\ntab_width = 8\n"
        "end_of_line = crlf\ncharset = utf-8-bom\ntrim_trailing_whitespace = true\n"
        "insert_final_newline = true\nmax_line_length = off\n[*.md]\ncharset = unset\n"
        "trim_trailing_whitespace = false\nindent_size = 2\nend_of_line = unset\n"
        "max_line_length = 72\n[*.txt]\nmax_line_length = 9999\n"
    )
    said = EditorConfig(True, 8, 8, "\r\n", "utf-8-bom", True, True)
    assert said_of(tmp_path / "a.py") == said
    assert said_of(tmp_path / "a.md") == EditorConfig(True, 2, 8, None, None, False, True, 72)
    assert said_of(tmp_path / "a.txt") == said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[*]\nindent_style = tab\n[*.c\nnonsense\n", ":3 is not understood"),
        ("[*]\nindent_style = tabs\n", ": indent_style cannot be 'tabs'"),
        ("[*]\nend_of_line =\n", ": end_of_line cannot be ''"),
        ("[*]\ncharset = utf-7\n", ": charset cannot be 'utf-7'"),
        ("[*]\ninsert_final_newline = yes\n", ": insert_final_newline cannot be 'yes'"),
        ("[*]\nmax_line_length = long\n", ": max_line_length cannot be 'long'"),
        ("[*.c]\nindent_style = tabs\n", ""),
        ("[*]\n# \xe9\n", " is not UTF-8"),
    ],
)
def test_mistake_is_one_line_that_names_it(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / ".editorconfig"
    file.write_bytes(("root=true\n" + text).replace(":3", "").encode("latin1"))
    expected = f"{file}{words.replace(':3', ':4')}" if words else ""
    assert said_of(tmp_path / "a.py").broken == expected
