"""The start of `dgedit lsp`, and the engines that it asks."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dgedit import cli
from dgedit.errors import Exit
from dgedit.protocol.rpc import RpcError
from lspclient import at, lsp_process
from scripted import PATH
from warm import CLIENT, Warm, warm_engines

TEXT = "def half(x):\n    \n\n\nprint(half(2))\n"
HEAVY = ("torch", "numpy", "textual", "typer", "rich", "pydantic", "tree_sitter", "dgedit.cli")


def start(*options: str, words: tuple[str, ...] = ("lsp",)) -> subprocess.CompletedProcess[bytes]:
    """Start it, say `initialize`, and go."""
    body = json.dumps({"id": 1, "method": "initialize", "params": {"capabilities": {}}}).encode()
    return subprocess.run(
        [sys.executable, *options, "-m", "dgedit", *words],
        input=b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
        capture_output=True,
        env=os.environ | {"PYTHONPATH": PATH},
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("words", [("lsp",), ("lsp", "--stdio")])
def test_nothing_heavy_is_loaded_before_the_first_answer(words: tuple[str, ...]) -> None:
    done = start("-X", "importtime", words=words)
    loaded = {line.rpartition(b"|")[2].strip().decode() for line in done.stderr.splitlines()}
    assert "dgedit.lsp.server" in loaded and b'"capabilities"' in done.stdout
    assert {name.split(".")[0] for name in loaded} & set(HEAVY) == set()
    ours = {name for name in loaded if name.startswith("dgedit")}
    light = {"dgedit", "dgedit.__main__", "dgedit.loading"}
    doors = ("dgedit.lsp", "dgedit.protocol")
    assert all(name in light or name.startswith(doors) for name in ours), ours


def test_it_starts_in_150_ms_of_the_processor() -> None:
    def used() -> float:
        of = resource.getrusage(resource.RUSAGE_CHILDREN)
        return of.ru_utime + of.ru_stime

    times = []
    for _ in range(5):
        before = used()
        assert start().returncode == 1
        times.append(used() - before)
    assert min(times) < 0.15


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-"])
def test_streams_that_are_missing_end_it_quietly(closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m dgedit lsp {closed}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": PATH},
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_options_go_by_way_of_the_command_line() -> None:
    assert b'"capabilities"' in start(words=("lsp", "--model", "tiny")).stdout
    done = start(words=("lsp", "--device", "toaster"))
    assert done.returncode == Exit.USAGE
    assert done.stderr.startswith(b"dgedit: no device 'toaster'")


def test_terminal_is_told_that_an_editor_starts_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: True)
    assert cli.run(["lsp"]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("dgedit: an editor starts dgedit lsp")


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Warm]:
    with warm_engines(monkeypatch) as made:
        yield made


def test_editors_share_one_warm_engine_started_at_the_first_request(
    warm: Warm, tmp_path: Path
) -> None:
    warm.model.mkdir()
    (warm.model / "weights").touch()
    words = ("-c", CLIENT, "lsp", "--model", str(warm.model))
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with lsp_process(tmp_path / "one", *words) as one, lsp_process(tmp_path / "two", *words) as two:
        for client in (one, two):
            client.start()
            client.open(TEXT)
            assert client.actions(at(1, 4), at(1, 4))
        assert warm.pids() == []
        assert one.offered(1, 4) == two.offered(1, 4) == ["filled"]
        (pid,) = warm.pids()
        assert one.end() == two.end() == 0
        assert warm.pids() == [pid]


def test_cancellation_hangs_up_on_the_warm_engine_within_a_step(warm: Warm, tmp_path: Path) -> None:
    warm.model.mkdir()
    (warm.model / "weights").touch()
    with lsp_process(tmp_path, "-c", CLIENT, "lsp", "--model", str(warm.model)) as client:
        client.start()
        client.open("x = <FILL: slow>\n")
        (_, action) = client.actions(at(0, 0), at(0, 0))
        client.request("codeAction/resolve", action)
        number, _ = client.send("codeAction/resolve", action)
        client.until(lambda: '"state": "busy"' in json.dumps(_statuses()))
        client.peer.tell("$/cancelRequest", {"id": number})
        assert "cancelled after" in warm.logged("cancelled after")


def test_name_of_a_model_in_a_configuration_is_never_a_path(warm: Warm, tmp_path: Path) -> None:
    """Nor a folder of that name in the workspace."""
    (tmp_path / "evil").mkdir()
    with lsp_process(tmp_path, "-c", CLIENT, "lsp") as client:
        client.start(initializationOptions={"model": "evil"})
        client.open(TEXT)
        with pytest.raises(RpcError, match=r"^no (such )?model\b[^\n]*evil"):
            client.offered(1, 4)
    assert warm.pids() == []


def _statuses() -> object:
    from dgedit.engines.warm import client

    return client.statuses()


def test_tiny_fills_at_the_cursor_in_this_process(tmp_path: Path) -> None:
    with lsp_process(tmp_path, "-m", "dgedit", "lsp") as client:
        client.start()
        client.open("def half(x):\n    return \n")
        (item, *_) = client.ask_at(1, 11)[1].result(120)["items"]
        assert item["range"] == {"start": at(1, 11), "end": at(1, 11)} and item["insertText"]
        assert client.end() == 0
        assert client.errors() == []
