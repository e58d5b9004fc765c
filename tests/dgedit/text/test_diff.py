"""Diffs that git applies: whatever the bytes, the ends of lines, the names."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from dgedit.files.paths import path_in_diff
from dgedit.text.diff import unified_diff


def text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def apply(patch: str, folder: Path) -> None:
    done = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "-"],
        input=patch.encode("utf-8", "surrogateescape"),
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode() + patch


@pytest.fixture
def repo(folder: Path) -> Path:
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


CASES = [
    (b"", b"a\n"),
    (b"", b"a"),
    (b"a\n", b""),
    (b"a", b"a\n"),
    (b"a\n", b"a"),
    (b"a\nb", b"c\nb"),
    (b"a\r\nb\r\n", b"a\nb\r\n"),
    (b"a\rb\x0cc\xe2\x80\xa8d\n", b"a\rB\x0cc\xe2\x80\xa8d\n"),
    (b"\xef\xbb\xbfa\n", b"\xef\xbb\xbfb\n"),
    (b"\xff\xfea\0\n\0", b"\xff\xfea\0b\0\n\0"),
    (b"\n\n\n", b"\n\n"),
    (b"-- a\n++ b\n", b"-- b\n++ a\n@@ -1 +1 @@\n\\ No newline at end of file"),
]


@pytest.mark.parametrize(("before", "after"), CASES)
def test_diff_is_applied_by_git(repo: Path, before: bytes, after: bytes) -> None:
    (repo / "f").write_bytes(before)
    apply(unified_diff(text(before), text(after), "f"), repo)
    assert (repo / "f").read_bytes() == after


def test_random_diffs_are_applied_by_git(repo: Path) -> None:
    rng = random.Random(0)
    lines = [b"a\n", b"b\n", b"\n", b"\r\n", b"c\x0cd\n", b"\xe9\n", b"e\rf\n", b" \n", b"g"]
    expected, patches = {}, ""
    for number in range(150):
        before = rng.choices(lines, k=rng.randrange(25))
        after = list(before)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(after) + 1)
            after[at : at + rng.randrange(3)] = rng.choices(lines, k=rng.randrange(3))
        name = f"f{number}"
        expected[name] = b"".join(after)
        (repo / name).write_bytes(b"".join(before))
        patches += unified_diff(text(b"".join(before)), text(expected[name]), name)
    apply(patches, repo)
    assert {name: (repo / name).read_bytes() for name in expected} == expected


@pytest.mark.parametrize("name", ["a b", "é.txt", 'q"uote', "back\\slash", "tab\tbed", "b\x7f\nd"])
def test_diff_of_an_odd_name_is_applied_by_git(repo: Path, name: str) -> None:
    (repo / name).write_text("a\n")
    apply(unified_diff("a\n", "b\n", name), repo)
    assert (repo / name).read_text() == "b\n"


def test_diff_of_no_change_is_empty() -> None:
    assert unified_diff("a", "a", "f") == ""


def test_diff_from_a_folder_below_names_the_path_from_the_top(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repo / "sub").mkdir()
    (repo / "sub" / "f").write_text("a\n")
    monkeypatch.chdir(repo / "sub")
    assert path_in_diff(Path("f")) == "sub/f"
    apply(unified_diff("a\n", "b\n", path_in_diff(Path("f"))), repo / "sub")
    assert (repo / "sub" / "f").read_text() == "b\n"


def test_path_in_diff_names_the_file_and_not_the_link(repo: Path) -> None:
    (repo / "real").touch()
    (repo / "link").symlink_to("real")
    assert path_in_diff(repo / "link") == "real"


def test_path_in_diff_outside_has_no_leading_slash(repo: Path) -> None:
    assert path_in_diff(Path("/etc/hosts")) == "etc/hosts"
