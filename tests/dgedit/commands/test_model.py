"""The commands `dgedit model …`: what they print, what they leave, and how they end."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from dgedit import cli
from dgedit.engines import connect as backend
from dgedit.errors import Exit
from dgedit.models import store as models
from dgedit.models.names import OURS
from dgedit_engine.formats import shards
from dgedit_engine.memory.plan import Need
from dgedit_engine.nano import parts
from dgedit_engine.types import ModelError
from fakebase import without_base
from fakehub import COMMIT, Hub, serving
from published import CONFIG, numbers, write

Capture = pytest.CaptureFixture[str]
REPO = "someone/little"
SHAPE = replace(CONFIG, vocab=20_000)


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of the test's own; returns the models folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("DGEDIT_MODEL", raising=False)
    without_base(monkeypatch)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "data" / "dgedit" / "models"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model in two shards."""
    folder = tmp_path_factory.mktemp("published") / "little"
    tensors = {name: one.bfloat16() for name, one in numbers(SHAPE).items()}
    write(folder, tensors, None, config=SHAPE)
    tensors = list(load_file(folder / "model.safetensors").items())
    (folder / "model.safetensors").unlink()
    half, places = len(tensors) // 2, {}
    for number, part in enumerate((tensors[:half], tensors[half:]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file(dict(part), folder / file)
        places |= {name: file for name, _ in part}
    (folder / shards.INDEX).write_text(json.dumps({"weight_map": places}))
    (folder / "tokenizer.json").write_text("{}")
    return folder


@pytest.fixture
def server(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has it."""
    files = {path.name: path.read_bytes() for path in published.iterdir()}
    with serving(files | {"README.md": b"words"}) as server:
        server.become_the_hub(monkeypatch)
        yield server


def put(homes: Path, published: Path, name: str = "little") -> Path:
    homes.mkdir(parents=True, exist_ok=True)
    (homes / name).symlink_to(published)
    return homes / name


def run(capfd: Capture, *words: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = cli.run(["model", *words])
    return code, *capfd.readouterr()


def test_model_alone_is_its_help(capfd: Capture) -> None:
    for words in ((), ("--help",), ("-h",)):
        code, out, err = run(capfd, *words)
        assert (code, err) == (0, "")
        for name in ("pull", "list", "info", "use", "quantize", "rm"):
            assert f"\n  {name} " in out
    code, _, err = run(capfd, "fetch")
    assert code == Exit.USAGE and "fetch" in err


def test_help_loads_no_engine() -> None:
    code = """
import sys
from dgedit import cli
assert cli.run(["model"]) == cli.run(["model", "pull", "--help"]) == 0
heavy = {"torch", "textual", "rich", "numpy", "huggingface_hub", "dgedit_engine.engine"}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b"[]\n"


def test_pull_list_info_use_rm(server: Hub, homes: Path, capfd: Capture) -> None:
    code, out, err = run(capfd, "pull", REPO, "--name", "mine")
    assert (code, err) == (0, "")
    assert out.startswith("mine: BF16, 1.5M parameters, ")
    code, out, err = run(capfd, "list")
    assert [line.split() for line in out.splitlines()[:2]] == [
        ["NAME", "FORMAT", "SIZE", "PARAMETERS", "ON", "A", "GPU"],
        ["*", "nano", "-", "0", "B", "-", "-", *parts.MISSING.split()],
    ]
    assert out.splitlines()[2].split()[:5] == ["tiny", "BF16", "12.4", "MB", "6.1M"]
    size = sum(path.stat().st_size for path in (homes / "mine").iterdir())
    assert out.splitlines()[-1].split()[:5] == ["mine", "BF16", f"{size / 1e6:.1f}", "MB", "1.5M"]
    code, out, err = run(capfd, "info", "mine")
    assert (code, err) == (0, "")
    for words in (
        "from        someone/little@01234",
        "experts     4, 2 for a token",
        "canvas      16",
    ):
        assert words in out
    assert run(capfd, "use", "mine") == (0, "mine is the default\n", "")
    entries = json.loads(run(capfd, "list", "--json")[1])
    assert [one["name"] for one in entries if not one["default"]] == [*OURS]
    assert (entries[-1]["name"], entries[-1]["path"]) == ("mine", str(homes / "mine"))
    code, out, err = run(capfd, "rm", "mine", "--yes")
    assert (code, out, err) == (0, "it was the default, which is nano now\n", "")
    assert not list(homes.iterdir())


def test_pull_of_what_is_there_does_nothing(server: Hub, homes: Path, capfd: Capture) -> None:
    assert run(capfd, "pull", REPO)[0] == 0
    given = dict(server.given)
    assert run(capfd, "pull", REPO) == (0, "little is here already\n", "")
    assert server.given == given
    server.files["tokenizer.json"] = b"{ }"
    code, out, err = run(capfd, "pull", REPO)
    assert (code, out) == (Exit.ENGINE, "")
    assert "little is another state of someone/little; take another --name, or" in err
    (homes / "own").mkdir()
    assert "own is another model; take" in run(capfd, "pull", REPO, "--name", "own")[2]
    assert run(capfd, "pull", REPO, "--name", "two", "--revision", COMMIT)[0] == 0


def test_pull_that_is_stopped_goes_on(server: Hub, homes: Path, capfd: Capture) -> None:
    large = max(server.files, key=lambda name: len(server.files[name]))
    half = len(server.files[large]) // 2
    server.waits = {large: half}
    process = subprocess.Popen(
        [sys.executable, "-m", "dgedit", "model", "pull", REPO],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert server.waiting.wait(20)
    growing = []
    deadline = time.monotonic() + 90
    while not growing or growing[0].stat().st_size == 0:
        growing = list(homes.glob(".little.part/*.incomplete"))
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=90)
    assert (process.returncode, out, err) == (Exit.INTERRUPTED, b"", b"")
    assert [path.name for path in homes.iterdir()] == [".little.part"]
    code, out, err = run(capfd, "list")
    assert (code, out.splitlines()[-1].split()[0]) == (0, "little") and "a stopped pull" in out
    server.waits, given = {}, dict(server.given)
    assert run(capfd, "pull", REPO)[0] == 0
    again = {name for name, count in server.given.items() if count != given.get(name)}
    assert large in again and "config.json" not in again
    assert server.given[large] < half + len(server.files[large])
    assert [path.name for path in homes.iterdir()] == ["little"]


def test_pull_of_another_architecture_fetches_no_weights(
    server: Hub, homes: Path, capfd: Capture
) -> None:
    server.files["config.json"] = b'{"architectures": ["FalconForCausalLM"]}'
    code, out, err = run(capfd, "pull", REPO)
    assert (code, out) == (Exit.ENGINE, "")
    assert (
        "dgedit: someone/little/config.json: " in err
        and "FalconForCausalLM" in err
        and err.count("\n") == 1
    )
    assert set(server.given) == {"config.json"} and not list(homes.iterdir())


def test_pull_of_what_does_not_load_stays(server: Hub, homes: Path, capfd: Capture) -> None:
    del server.files["tokenizer.json"]
    code, out, err = run(capfd, "pull", REPO)
    assert (code, out) == (Exit.ENGINE, "")
    assert "little is pulled, but does not load: " in err and "little has no tokenizer.json" in err
    assert "(dgedit model rm little removes it)\n" in err
    code, out, _ = run(capfd, "info", "little")
    assert code == 0 and out.splitlines()[-1].endswith("little has no tokenizer.json")
    assert run(capfd, "rm", "little", "--yes")[0] == 0
    config = json.loads(server.files["config.json"])
    server.files["config.json"] = json.dumps(
        config | {"quantization_config": {"quant_method": "awq"}}
    ).encode()
    code, out, err = run(capfd, "pull", REPO)
    assert code == Exit.ENGINE and "quantised by 'awq'" in err
    code, out, err = run(capfd, "list")
    assert code == 0 and "quantised by 'awq'" in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("pull someone/else", Exit.ENGINE, "no such repository: someone/else"),
        ("pull someone/little --revision x", Exit.ENGINE, "someone/little has no revision x"),
        ("pull someone/little --file x.gguf", Exit.ENGINE, "has no GGUF file x.gguf"),
        ("pull someone/little --name ../x", Exit.USAGE, "no name for a model: '../x'"),
        ("pull a/b/c", Exit.USAGE, "no repository's name: 'a/b/c'"),
        ("info gone", Exit.ENGINE, "no such model: gone"),
        ("info little --context 0", Exit.USAGE, "--context"),
        ("info little --context 129", Exit.USAGE, "little has a context of 128, not 129"),
        ("info little --kv int8", Exit.USAGE, "int8"),
        ("use gone", Exit.ENGINE, "no such model: gone"),
        ("use a/b", Exit.USAGE, "no name for a model: 'a/b'"),
        ("rm gone --yes", Exit.ENGINE, "no such model: gone"),
        ("rm ../x --yes", Exit.USAGE, "no name for a model: '../x'"),
        ("rm little", Exit.USAGE, "needs --yes"),
        ("quantize gone new", Exit.ENGINE, "no such model: gone"),
        ("quantize little little", Exit.ENGINE, "is there already"),
        ("quantize little new --experts int3", Exit.USAGE, "int3"),
        ("quantize little new --device warp", Exit.USAGE, "no device 'warp'"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_a_code(
    server: Hub, homes: Path, published: Path, capfd: Capture, words: str, code: int, said: str
) -> None:
    put(homes, published)
    found, out, err = run(capfd, *words.split())
    assert (found, out) == (code, "")
    assert said in err and err.startswith("dgedit: ") and err.count("\n") == 1
    assert [path.name for path in homes.iterdir()] == ["little"]


def test_text_of_others_is_made_visible(server: Hub, homes: Path, capfd: Capture) -> None:
    server.files = {"\x1b[2Ja.gguf": b"x", "b.gguf": b"x"}
    assert "␛[2Ja.gguf" in run(capfd, "pull", REPO)[2]
    (homes / "\x1b]0;x").mkdir(parents=True)
    _, out, err = run(capfd, "list")
    assert "␛]0;x" in out and "\x1b" not in out + err


def test_info_tells_what_a_context_takes(homes: Path, published: Path, capfd: Capture) -> None:
    put(homes, published)
    found = []
    for words in (("--context", "64"), (), ("--kv", "fp8")):
        code, out, err = run(capfd, "info", "little", "--json", *words)
        assert (code, err) == (0, "")
        found.append(json.loads(out))
    memory = [one["memory"] for one in found]
    assert [one["context"] for one in memory] == [64, 128, 128]
    assert memory[0]["cache"] < memory[1]["cache"] and memory[2]["kv"] == "fp8"
    for one in memory:
        assert one["total"] == one["weights"] + one["cache"] + one["work"] > 2_946_000
    assert found[0]["parameters"] == 1_473_036
    assert set(found[0]["files"]) == {path.name for path in published.iterdir()}


def test_info_hands_the_engine_what_was_asked(
    homes: Path, published: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def need(path: Path, **options: Any) -> Need:
        asked.append((path, options))
        return Need(10**9, 2 * 10**9, 3 * 10**9)

    monkeypatch.setattr("dgedit_engine.memory.plan.need", need)
    options = ("--context", "99", "--kv", "fp8", "--device", "cuda")
    _, out, _ = run(capfd, "info", str(published), *options)
    assert asked == [(published, {"context": 99, "kv": "fp8", "device": "cuda"})]
    words = "6.0 GB (weights 1.0 GB, cache 2.0 GB, work 3.0 GB; cuda, 99 tokens, fp8 keys)"
    assert f"memory      {words}" in out

    def fail(path: Path, **options: Any) -> Need:
        raise ModelError("no tensor x")

    monkeypatch.setattr("dgedit_engine.memory.plan.need", fail)
    code, out, _ = run(capfd, "info", str(published))
    assert (code, out.splitlines()[-1]) == (0, "does not load no tensor x")


def test_facts_of_a_large_folder_read_no_weight(homes: Path, published: Path) -> None:
    """50 GB that are holes in a file: to read them would take longer than the test may."""
    folder = Path(shutil.copytree(published, homes / "large"))
    with (folder / "pytorch_model.bin").open("wb") as file:
        file.truncate(50 * 10**9)
    models.facts(folder)  # loads the engine
    started = time.process_time()
    assert models.facts(folder).bytes > 50 * 10**9
    assert models.fault(folder) is None
    assert time.process_time() - started < 1


def test_use_says_when_the_environment_goes_first(
    homes: Path, published: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(homes, published)
    monkeypatch.setenv("DGEDIT_MODEL", "nano")
    code, out, _ = run(capfd, "use", "little")
    assert (code, out.splitlines()[1]) == (0, "but DGEDIT_MODEL goes first: nano")


def test_quantised_model_loads_under_its_name(
    homes: Path, published: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(homes, published)
    words = ("little", "small", "--experts", "int4", "--rest", "int8", "--device", "cpu")
    code, out, err = run(capfd, "quantize", *words)
    assert (code, err) == (0, "") and out.startswith("small: dgedit int4 + int8, 1.5M parameters")
    assert models.fault(homes / "small") is None
    assert run(capfd, "quantize", "small", "./elsewhere")[0] == 0
    assert Path("elsewhere", "config.json").is_file()
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 5}))
    code, out, err = run(capfd, "quantize", "little", "large")
    assert (code, out) == (Exit.INPUT, "") and "the disk has 5 B free" in err
    assert sorted(path.name for path in homes.iterdir()) == ["little", "small"]


def test_quantising_that_is_stopped_leaves_nothing(
    homes: Path, published: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(homes, published)
    from dgedit_engine.weights import quantize

    write_, seen = quantize._write, []

    def stopped(*given: Any) -> Iterator[Any]:
        for number, step in enumerate(write_(*given)):
            if number == 3:
                seen.extend(path.name for path in homes.iterdir())
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr(quantize, "_write", stopped)
    assert run(capfd, "quantize", "little", "small") == (Exit.INTERRUPTED, "", "")
    assert len(seen) == 2
    assert [path.name for path in homes.iterdir()] == ["little"]


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "code"), [("y\n", Exit.OK), ("n\n", Exit.NO), ("", 130)])
def test_rm_asks_on_a_terminal(
    homes: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    (homes / "mine").mkdir(parents=True)
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert cli.run(["model", "rm", "mine"]) == code
    assert (homes / "mine").exists() == (code != Exit.OK)
    assert str(homes / "mine") in sys.stderr.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("term", "shown"), [("xterm", True), ("dumb", False)])
def test_progress_is_drawn_where_somebody_looks(
    server: Hub, monkeypatch: pytest.MonkeyPatch, term: str, shown: bool
) -> None:
    screen = Terminal()
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "stderr", screen)
    assert cli.run(["model", "pull", REPO]) == 0
    assert ("pulling someone/little" in screen.getvalue()) == shown
    assert not shown or "MB" in screen.getvalue()


def test_commands_take_their_model_by_name(
    homes: Path, published: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(homes, published)
    opened: list[Any] = []
    bench = "dgedit_engine.bench.__main__.main"
    monkeypatch.setattr(bench, lambda words: opened.append(words) or 0)
    assert cli.run(["bench", "--model", "little"]) == 0
    assert cli.run(["bench", "--shape", "small"]) == 0
    assert f"--model={homes / 'little'}" in opened[0]
    assert not [word for word in opened[1] if word.startswith("--model")]
    monkeypatch.setattr(backend, "connect", lambda *given, **more: opened.append(given) or 1 / 0)
    Path("a.py").write_text("<FILL>")
    cli.run(["fill", "a.py", "--model", "little"])
    assert opened[2] == ("little", None)
