"""Watching: which files are given out, when, and when not; with real notices, git and editors."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dgedit.errors import InputError
from dgedit.files.watching import Root, Watching, operation_around
from watched import Watched

MARKED = "a = <FILL>\n"
FILLED = "a = filled\n"
QUIET = 0.6  # seconds in which something would have happened


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder that is watched."""
    place = tmp_path / "home"
    place.mkdir()
    return place


def git(folder: Path, *args: str, check: bool = True) -> None:
    names = ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *names, *args], cwd=folder, check=check, capture_output=True, timeout=90)


def repository(folder: Path) -> Path:
    """A repository with two branches that change the same line."""
    git(folder, "init")
    (folder / "kept").write_text("old\n")
    git(folder, "add", "kept")
    git(folder, "commit", "-m", "first")
    git(folder, "checkout", "-b", "other")
    (folder / "kept").write_text("theirs\n")
    git(folder, "commit", "-am", "theirs")
    git(folder, "checkout", "main")
    (folder / "kept").write_text("ours\n")
    git(folder, "commit", "-am", "ours")
    return folder


def present(*paths: Path, marker: str = "<FILL>") -> list[str]:
    """The names of the files that have a marker now."""
    roots = [Root.of(path) for path in paths]
    watching = Watching(roots, marker=marker, quiet=0, say=print)
    return sorted(str(path.relative_to(paths[0])) for path in watching.present())


# Saving


def test_marker_is_filled_when_its_file_is_saved(home: Path) -> None:
    with Watched(home) as watched:
        (home / "a.py").write_text("# one\n" + MARKED)
        watched.wait_for(lambda: b"\n" in watched.out)
        code, out, err = watched.end()
    assert (home / "a.py").read_text() == "# one\n" + FILLED
    assert (code, out, err) == (130, "a.py:2  0.0 s\n", "dgedit: watching .\n")


def test_what_was_there_before_is_left_alone_until_it_is_saved(home: Path) -> None:
    (home / "old.py").write_text(MARKED)
    (home / "saved.py").write_text(MARKED)
    with Watched(home) as watched:
        (home / "saved.py").write_text(MARKED)
        watched.wait_for_text(home / "saved.py", FILLED)
    assert (home / "old.py").read_text() == MARKED


def in_place(path: Path) -> None:
    path.write_text("")
    time.sleep(0.02)
    path.write_text(MARKED)


def by_renaming(path: Path) -> None:
    beside = path.with_name(".a.py.tmp")
    beside.write_text(MARKED)
    beside.replace(path)


def as_vim_does(path: Path) -> None:
    (path.parent / "4913").touch()
    (path.parent / "4913").unlink()
    path.touch()
    path.rename(path.with_name("a.py~"))
    path.write_text(MARKED)  # and the backup stays, as with 'backup'


def as_emacs_does(path: Path) -> None:
    os.symlink("me@host.1:2", path.with_name(".#a.py"))
    (path.with_name("#a.py#")).write_text(MARKED)
    path.write_text(MARKED)
    path.with_name(".#a.py").unlink()


def in_pieces(path: Path) -> None:
    with path.open("w") as file:
        for char in MARKED:
            file.write(char)
            file.flush()
            time.sleep(0.03)


@pytest.mark.parametrize("save", [in_place, by_renaming, as_vim_does, as_emacs_does, in_pieces])
def test_way_of_saving_does_not_matter(home: Path, save: Callable[[Path], None]) -> None:
    with Watched(home) as watched:
        for round_ in range(1, 4):  # a watch on the file itself would be deaf after the first
            save(home / "a.py")
            watched.wait_for_text(home / "a.py", FILLED)
            watched.wait_for(lambda count=round_: watched.out.count(b"\n") == count)  # type: ignore[misc]
        assert watched.asked == 3
    beside = {path.name: path.read_text() for path in home.iterdir() if path.name != "a.py"}
    assert set(beside) <= {"a.py~", "#a.py#"}
    assert set(beside.values()) <= {MARKED, FILLED}


@pytest.mark.skipif(shutil.which("vim") is None, reason="vim is not installed")
@pytest.mark.parametrize("copies", ["yes", "no"])
def test_vim_saves_and_its_file_is_filled(home: Path, copies: str) -> None:
    with Watched(home) as watched:
        commands = ["-c", f"set backupcopy={copies} backup", "-c", "normal ia = <FILL>", "-c", "x"]
        subprocess.run(["vim", "-N", "-u", "NONE", "-es", *commands, "a.py"], cwd=home, timeout=90)
        watched.wait_for_text(home / "a.py", FILLED)


def test_fifty_rapid_saves_end_in_one_whole_file(home: Path) -> None:
    with Watched(home, pause=0.02) as watched:
        for count in range(50):
            (home / "a.py").write_text(f"# {count}\n" * 100 + MARKED)
            time.sleep(0.01)
        watched.wait_for_text(home / "a.py", "# 49\n" * 100 + FILLED)
        time.sleep(QUIET)
        assert (home / "a.py").read_text() == "# 49\n" * 100 + FILLED
        assert watched.asked <= 10


def test_what_we_wrote_is_not_filled_again(home: Path) -> None:
    with Watched(home, texts=("again <FILL>",)) as watched:
        (home / "a.py").write_text(MARKED)
        watched.wait_for_text(home / "a.py", "a = again <FILL>\n")
        time.sleep(QUIET)
        assert watched.asked == 1
        (home / "a.py").write_text("a = again <FILL>\n# and this\n")
        watched.wait_for_text(home / "a.py", "a = again again <FILL>\n# and this\n")


def test_file_that_changes_while_it_is_filled_is_filled_afterwards(home: Path) -> None:
    with Watched(home, pause=0.3) as watched:
        (home / "a.py").write_text(MARKED)
        watched.wait_for(lambda: watched.asked == 1)
        (home / "a.py").write_text("b = 1\n" + MARKED)
        watched.wait_for(lambda: b"\n" in watched.out)
        assert (home / "a.py").read_text() == "b = 1\n" + FILLED
        code, out, err = watched.end()
    assert (code, out.count("\n"), err) == (130, 1, "dgedit: watching .\n")
    assert out.startswith("a.py:2  ")


def test_several_files_are_filled(home: Path) -> None:
    (home / "inner").mkdir()
    with Watched(home) as watched:
        for name in ("a.py", "b.py", "inner/c.py"):
            (home / name).write_text(MARKED * 2)
        watched.wait_for(lambda: watched.out.count(b"\n") == 6)
    for name in ("a.py", "b.py", "inner/c.py"):
        assert (home / name).read_text() == FILLED * 2


def test_folder_that_comes_with_files_is_looked_through(home: Path, tmp_path: Path) -> None:
    (tmp_path / "new" / "deep").mkdir(parents=True)
    (tmp_path / "new" / "deep" / "a.py").write_text(MARKED)
    with Watched(home) as watched:
        (tmp_path / "new").rename(home / "new")
        watched.wait_for_text(home / "new" / "deep" / "a.py", FILLED)
        (home / "new" / "deep" / "b.py").write_text(MARKED)
        watched.wait_for_text(home / "new" / "deep" / "b.py", FILLED)


def test_folder_that_goes_is_waited_for(home: Path) -> None:
    with Watched(home, str(home)) as watched:
        shutil.rmtree(home)
        watched.wait_for(lambda: b"waiting until" in watched.err)
        time.sleep(QUIET)
        home.mkdir()
        (home / "a.py").write_text(MARKED)
        watched.wait_for_text(home / "a.py", FILLED)
        (home / "b.py").write_text(MARKED)
        watched.wait_for_text(home / "b.py", FILLED)
        assert watched.end()[2].count("waiting until") == 1


def test_named_file_is_watched_alone_and_through_its_link(home: Path, tmp_path: Path) -> None:
    (home / "a.py").write_text("")
    (home / "b.py").write_text("")
    (tmp_path / "link.py").symlink_to(home / "a.py")
    with Watched(tmp_path, "link.py", beside=tmp_path / "home") as watched:
        (home / "b.py").write_text(MARKED)
        (tmp_path / "link.py").write_text(MARKED)
        watched.wait_for_text(home / "a.py", FILLED)
        watched.wait_for(lambda: b"\n" in watched.out)
        assert watched.end()[1].startswith("link.py:1  ")
    assert (tmp_path / "link.py").is_symlink()
    assert (home / "b.py").read_text() == MARKED


def test_signal_while_nothing_happens_ends_it(home: Path) -> None:
    with Watched(home) as watched:
        assert watched.end(signal.SIGTERM) == (143, "", "dgedit: watching .\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_while_a_model_works_leaves_the_file(
    home: Path, number: signal.Signals, code: int
) -> None:
    with Watched(home, pause=20) as watched:
        (home / "a.py").write_text(MARKED)
        watched.wait_for(lambda: watched.asked == 1)
        began = time.monotonic()
        assert watched.end(number) == (code, "", "dgedit: watching .\n")
        assert time.monotonic() - began < 19
    assert [path.name for path in home.iterdir()] == ["a.py"]
    assert (home / "a.py").read_text() == MARKED


def test_dry_run_says_what_would_be_filled(home: Path) -> None:
    with Watched(home, "--dry-run") as watched:
        (home / "a.py").write_text("\n<FILL: the sum>\n")
        watched.wait_for(lambda: b"\n" in watched.out)
        assert watched.end()[1] == "a.py:2  the sum\n"
        assert watched.asked == 0


# Git


def test_files_wait_while_git_rebases(home: Path) -> None:
    repository(home)
    with Watched(home) as watched:
        git(home, "rebase", "other", check=False)
        (home / "a.py").write_text(MARKED)
        (home / "b.py").write_text(MARKED)
        watched.wait_for(lambda: b"waiting until a rebase" in watched.err)
        time.sleep(QUIET)
        assert (home / "a.py").read_text() == MARKED
        git(home, "rebase", "--abort")
        watched.wait_for_text(home / "a.py", FILLED)
        watched.wait_for_text(home / "b.py", FILLED)
        assert watched.end()[2].count("waiting until") == 1


def test_rebase_that_begins_while_a_model_works_keeps_what_it_finds(home: Path) -> None:
    repository(home)
    with Watched(home, pause=0.5) as watched:
        (home / "a.py").write_text(MARKED)
        watched.wait_for(lambda: watched.asked == 1)
        git(home, "rebase", "other", check=False)
        watched.wait_for(lambda: b"waiting until a rebase" in watched.err)
        assert (home / "a.py").read_text() == MARKED
        git(home, "rebase", "--abort")
        watched.wait_for_text(home / "a.py", FILLED)


@pytest.mark.parametrize(
    ("begin", "what"),
    [
        ("rebase other", "a rebase"),
        ("rebase --apply other", "a rebase"),
        ("merge other", "a merge"),
        ("cherry-pick other", "a cherry-pick"),
        ("revert HEAD~1 other", "a revert"),
        ("bisect start", "a bisect"),
    ],
)
def test_what_git_is_in_the_middle_of_is_known(home: Path, begin: str, what: str) -> None:
    repository(home)
    tree = home.parent / "tree"
    git(home, "worktree", "add", "--detach", str(tree))
    (home / "inner").mkdir()
    assert operation_around(home / "inner" / "a.py") is None
    git(home, *begin.split(), check=False)
    assert operation_around(home / "inner" / "a.py") == f"{what} in {home}"
    assert operation_around(tree / "a.py") is None
    git(tree, "checkout", "main^0", check=False)
    git(tree, *begin.split(), check=False)
    assert operation_around(tree / "a.py") == f"{what} in {tree}"


# Which files


def test_ignored_files_are_left_alone(home: Path) -> None:
    git(home, "init")
    (home / ".gitignore").write_text("*.log\nbuild/\n!kept.log\n")
    (home / ".git" / "info" / "exclude").write_text("excluded.py\n")
    names = "a.py b.log kept.log build/c.py node_modules/d.py .git/e.py excluded.py inner/f.py"
    for name in [
        *names.split(),
        "a.py~",
        ".a.py.swp",
        "#a.py#",
        ".dgedit-1",
        ".a.py.dgedit-1",
        "inner/.hidden.py",
    ]:
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(MARKED)
    assert present(home) == ["a.py", "inner/.hidden.py", "inner/f.py", "kept.log"]
    assert present(home / "build") == ["c.py"]  # which was meant
    assert present(home / "b.log") == ["."]


def test_repository_above_says_what_is_ignored(home: Path) -> None:
    git(home, "init")
    (home / ".gitignore").write_text("/inner/a.py\n")
    (home / "inner").mkdir()
    for name in ("a.py", "b.py"):
        (home / "inner" / name).write_text(MARKED)
    assert present(home / "inner") == ["b.py"]


def test_ignored_file_is_not_filled_when_it_is_saved(home: Path) -> None:
    (home / ".gitignore").write_text("no.py\n")
    with Watched(home) as watched:
        (home / "no.py").write_text(MARKED)
        (home / "yes.py").write_text(MARKED)
        watched.wait_for_text(home / "yes.py", FILLED)
        time.sleep(QUIET)
    assert (home / "no.py").read_text() == MARKED


def test_links_are_left_alone_and_end(home: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    for place in (home, tmp_path / "outside"):
        (place / "a.py").write_text(MARKED)
    (home / "loop").symlink_to(home)
    (home / "self").symlink_to("self")
    (home / "away").symlink_to(tmp_path / "outside")
    (home / "b.py").symlink_to(tmp_path / "outside" / "a.py")
    assert present(home) == ["a.py"]
    with Watched(home) as watched:
        (home / "away" / "a.py").write_text(MARKED)
        (home / "loop" / "loop" / "a.py").write_text(MARKED)
        watched.wait_for_text(home / "a.py", FILLED)
        time.sleep(QUIET)
    assert (tmp_path / "outside" / "a.py").read_text() == MARKED


@pytest.mark.parametrize("code", ["utf-8", "utf-16", "utf-16-be"])
def test_markers_are_found_as_they_are_stored(home: Path, code: str) -> None:
    bom = b"\xfe\xff" if code == "utf-16-be" else b""
    (home / "a.txt").write_bytes(bom + "é <FILL: ü>".encode(code))
    (home / "b.txt").write_bytes(bom + "é <FIL".encode(code))
    assert present(home) == ["a.txt"]
    assert present(home, marker="ü>") == ["a.txt"]


def test_pipe_is_not_waited_for(home: Path) -> None:
    os.mkfifo(home / "pipe")
    assert present(home) == []


def test_root_that_is_not_there_is_an_input_error(home: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        Root.of(home / "nowhere")


def test_fault_22_root_that_is_a_circle_of_links_is_told(home: Path) -> None:
    (home / "loop").symlink_to("loop")
    with pytest.raises(InputError, match=r"cannot read .*loop: Too many levels of symbolic links"):
        Root.of(home / "loop")
