"""Git is asked, and nothing of the tree that it is asked about runs."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dgedit.files import git
from dgedit.files.watching import Root, Watching

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is what is asked")
ROOT = Path(__file__).parents[3]


def asked(folder: Path, *words: str) -> str:
    """What git says without our options."""
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A work tree as somebody may pack it: git must fetch an ignore file to answer at all."""
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    (tree / "d" / ".gitignore").write_text("*.log\n")
    (tree / "d" / "a.py").write_text("x\n")
    asked(tree, "init", "-q")
    asked(tree, "add", "-A")
    asked(tree, "commit", "-qm", "x")
    blob = asked(tree, "rev-parse", "HEAD:d/.gitignore")
    asked(tree, "update-index", "--skip-worktree", "d/.gitignore")
    (tree / "d" / ".gitignore").unlink()
    (tree / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    return tree


def program(tree: Path) -> tuple[Path, Path]:
    """A program in the tree, and the file that it leaves where it has run."""
    ran, path = tree.parent / "ran", tree / "evil"
    path.write_text(f"#!/bin/sh\necho >{ran}\n")
    path.chmod(0o755)
    return path, ran


TRAPS = {
    "ssh": ("ssh://a/b", {"core.sshCommand": "{evil}"}),
    "ext": ("ext::{evil}", {"protocol.ext.allow": "always"}),
    "file": (".", {"remote.o.uploadpack": "{evil}", "protocol.file.allow": "always"}),
    "helper": ("o::x", {"protocol.allow": "always"}),
    "proxy": ("git://a/b", {"core.gitProxy": "{evil}"}),
    "monitor": ("ssh://a/b", {"core.sshCommand": "false", "core.fsmonitor": "{evil}"}),
}
"""Where a missing object would come from, and what the tree's configuration says of it."""


@pytest.mark.parametrize("trap", TRAPS)
def test_fault_8_nothing_of_the_tree_runs(
    tree: Path, trap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil, ran = program(tree)
    url, settings = TRAPS[trap]
    settings = settings | {
        **{"remote.o.url": url, "remote.o.promisor": "true", "extensions.partialClone": "o"},
        **{"core.pager": "{evil}", "core.hooksPath": str(tree), "core.askPass": "{evil}"},
    }
    if trap == "helper":
        evil.rename(tree.parent / "git-remote-o")
        monkeypatch.setenv("PATH", f"{tree.parent}:{os.environ['PATH']}")
    asked(tree, "config", "core.repositoryFormatVersion", "1")
    for name, value in settings.items():
        asked(tree, "config", name, value.format(evil=evil))
    path = str(tree / "d" / "a.log")
    subprocess.run(
        ["git", "-C", str(tree / "d"), "check-ignore", "-q", "--", path],
        check=False,
        capture_output=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    )
    assert ran.exists(), "the trap is none: git alone runs nothing here either"
    ran.unlink()
    # A session's own variables do not open what we close.
    monkeypatch.setenv("GIT_SSH_COMMAND", str(tree / "evil"))
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "ssh:ext:file")
    assert not git.ignores(path)
    assert git.version()
    assert git.committed(str(tree / "d" / ".gitignore"), most=100) is None
    assert git.committed(str(tree / "d" / "a.py"), most=100) == b"x\n"
    assert git.branch(path) == asked(tree, "symbolic-ref", "--short", "HEAD")
    (tree / "d" / "a.py").write_text("x = <FILL>\n")
    watching = Watching([Root.of(tree)], marker="<FILL>", quiet=0, say=print)
    assert list(watching.present()) == [tree / "d" / "a.py"]
    assert not ran.exists()


def test_git_says_what_only_it_knows(tmp_path: Path) -> None:
    asked(tmp_path, "init", "-q")
    (tmp_path / ".git" / "info").mkdir(exist_ok=True)
    (tmp_path / ".git" / "info" / "exclude").write_text("*.log\n")
    assert git.ignores(str(tmp_path / "a.log"))
    assert not git.ignores(str(tmp_path / "a.py"))
    (tmp_path / ".git" / "info" / "exclude").write_text("x*\n")
    assert git.ignores(str(tmp_path / "x[a]:*"))


def test_git_is_asked_about_the_paths_own_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a hook of another one has started us."""
    for name, ignored in (("one", "*.log"), ("two", "*.txt")):
        (tmp_path / name).mkdir()
        asked(tmp_path / name, "init", "-q")
        (tmp_path / name / ".gitignore").write_text(ignored)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "two" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "two"))
    assert git.ignores(str(tmp_path / "one" / "a.log"))


@pytest.mark.parametrize("setting", ["filter.x.smudge", "filter.x.process", "diff.x.textconv"])
def test_filters_and_textconv_are_not_reached(tree: Path, setting: str) -> None:
    evil, ran = program(tree)
    asked(tree, "config", setting, str(evil))
    (tree / ".git" / "info").mkdir(exist_ok=True)
    (tree / ".git" / "info" / "attributes").write_text("* filter=x diff=x\n")
    shown = ["--textconv"] if setting.startswith("diff") else ["--filters"]
    subprocess.run(
        ["git", "-C", str(tree), "cat-file", *shown, "HEAD:d/a.py"],
        check=False,
        capture_output=True,
    )
    assert ran.exists(), "the trap is none"
    ran.unlink()
    assert git.committed(str(tree / "d" / "a.py"), most=100) == b"x\n"
    assert not ran.exists()


def test_committed_bytes_are_those_of_the_file_itself(tmp_path: Path) -> None:
    asked(tmp_path, "init", "-q", "-b", "main")
    names = ["a.py", "-a", "a b", "HEAD:x", "é\n", "[a]*", ":(top)a.py", os.fsdecode(b"\xff")]
    (tmp_path / "d").mkdir()
    for name in names:
        (tmp_path / "d" / name).write_bytes(os.fsencode(name) + b"\r\n\xff")
    assert git.committed(str(tmp_path / "d" / "a.py"), most=100) is None  # no commit yet
    assert git.branch(str(tmp_path / "d" / "a.py")) == "main"
    asked(tmp_path, "add", "-A")
    asked(tmp_path, "commit", "-qm", "x")
    for name in names:
        path = tmp_path / "d" / name
        path.write_bytes(b"edited")
        assert git.committed(str(path), most=100) == os.fsencode(name) + b"\r\n\xff"
    link = tmp_path / "link"
    link.symlink_to("d/a.py")
    assert git.committed(str(link), most=100) == b"a.py\r\n\xff"
    (tmp_path / "untracked").write_text("x")
    for other in (tmp_path / "untracked", tmp_path / "gone" / "x", tmp_path / "d"):
        assert git.committed(str(other), most=100) is None
    asked(tmp_path, "checkout", "-q", "--detach")
    assert git.branch(str(tmp_path / "d" / "a.py")) == "detached"


def test_committed_file_that_is_larger_is_none(tmp_path: Path) -> None:
    """Also one that unpacks to far more than it takes on disk."""
    asked(tmp_path, "init", "-q")
    path = tmp_path / "a"
    path.write_bytes(bytes(30_000_000))
    asked(tmp_path, "add", "-A")
    asked(tmp_path, "commit", "-qm", "x")
    assert git.committed(str(path), most=1000) is None
    assert git.committed(str(path), most=30_000_000) == bytes(30_000_000)


def test_no_repository_starts_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)  # it would be called
    assert git.committed(str(tmp_path / "a"), most=9) is None and not git.branch(
        str(tmp_path / "a")
    )


def test_git_that_does_not_answer_is_given_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(tmp_path, "init", "-q")
    (tmp_path / ".git" / "HEAD").unlink()
    os.mkfifo(tmp_path / ".git" / "HEAD")
    monkeypatch.setattr(git, "_PATIENCE", 0.2)
    assert git.committed(str(tmp_path / "a"), most=9) is None and not git.branch(
        str(tmp_path / "a")
    )
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert git.committed(str(tmp_path / "a"), most=9) is None


def test_fault_8_git_is_run_in_one_place() -> None:
    """A second way would need its own environment, and would be forgotten one day."""
    found = []
    for file in sorted((ROOT / "dgedit").rglob("*.py")):
        words = {
            node.value
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.List | ast.Tuple)
            for node in node.elts[:1]
            if isinstance(node, ast.Constant)
        }
        if "git" in words:
            found.append(file.relative_to(ROOT).as_posix())
    assert found == ["dgedit/files/git.py"]


STARTS = {
    "dgedit/commands/nano.py": "our own interpreter, to install the base",
    "dgedit/doctor/checks.py": "our own interpreter, which asks torch",
    "dgedit/engines/warm/bench.py": "for developers: dgedit itself",
    "dgedit/engines/warm/client.py": "our own interpreter, which is the engine",
    "dgedit/files/git.py": "git",
    "dgedit/files/shell.py": "what the user types to filter a selection, by the shell",
    "dgedit/protocol/language_server.py": "what the user's settings name",
    "dgedit/tui/bench.py": "for developers: dgedit itself",
    "dgedit/tui/workspace/lexers.py": "our own interpreter, which colours",
    "dgedit/tui/terminal/clipboard.py": "the clipboard's programs",
}
"""Who may start a program, and which."""


def test_fault_8_programs_are_started_by_few() -> None:
    kinds = r"(subprocess\.(run|Popen|call|check_\w+)|(asyncio\.)?create_subprocess_\w+"
    kinds += r"|os\.(exec\w+|spawn\w+|posix_spawn\w*|popen|system|startfile))"
    found = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "dgedit").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and re.fullmatch(kinds, ast.unparse(node.func))
    }
    assert found == set(STARTS)
