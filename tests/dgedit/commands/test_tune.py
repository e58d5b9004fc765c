"""`dgedit tune`: a small twin of nano is tuned, judged, named, used, stopped and gone on with."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from byte_level import CHAT, byte_level
from dgedit import cli
from dgedit.commands import tune as command
from dgedit.errors import Exit
from dgedit.models import store, tuned, tuning
from dgedit_engine.model.config import save_config
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.nano.names import TINY
from dgedit_engine.train.__main__ import SAMPLING, size
from dgedit_engine.weights import checkpoint
from small_base import write

Capture = pytest.CaptureFixture[str]
Git = Callable[..., str]


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Gemma 3 with random weights, in a GGUF file."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("base") / "twin"
    folder.mkdir()
    write(folder / "twin.gguf")
    (folder / "decoding.json").write_text('{"candidates": 1}')
    return folder


def code(name: str, count: int) -> str:
    """Lines that stand nowhere else."""
    lines = (f"    {name}_{n} = compute({n}, {name!r}, other={n * n})\n" for n in range(count))
    return f"def {name}(value):\n" + "".join(lines) + f"    return {name}_0\n"


@pytest.fixture
def git(folder: Path) -> Git:
    def run(*words: str) -> str:
        own = {"GIT_CONFIG_GLOBAL": os.devnull, "HOME": str(folder)}
        names = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", *names, *words],
            cwd=folder,
            env=os.environ | own,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture
def project(folder: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two commits: texts, and others that were added since."""
    monkeypatch.setattr(tuning, "LEAST", 2_000)
    monkeypatch.setattr(command, "_GENERAL", 1)
    for kind in ("adapted", "whole"):
        monkeypatch.setattr(f"dgedit_engine.tune.{kind}.MEASURED", 160)
    git("init", "-q")
    for name in ("one", "two", "three", "four"):
        (folder / f"{name}.py").write_text(code(name, 20))
    git("add", ".")
    git("commit", "-qm", "first")
    for name in ("five", "six", "seven", "eight"):
        (folder / f"{name}.py").write_text(
            "".join(code(f"{name}{part}", 1) + "\n\n" for part in range(8))
        )
    (folder / "moved.py").write_text(code("one", 20))
    (folder / "one.py").unlink()
    git("add", ".")
    git("commit", "-qam", "second")
    return folder


def tune(twin: Path, *more: str) -> int:
    args = ["tune", "--name", "mine", "--base", str(twin), "--fills", "0", "--minutes", "0.05"]
    return cli.run([*args, "--since", "HEAD~1", *more])


def test_tuned_model_is_judged_named_listed_and_used(
    project: Path, twin: Path, capfd: Capture
) -> None:
    assert tune(twin, "--keep", "always", "--json") == Exit.OK
    said = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    kinds = [one["kind"] for one in said]
    assert kinds[:2] == ["data", "before"] and kinds[-1] == "verdict" and "step" in kinds
    assert said[0]["files"] == 4 and said[0]["spans"] >= 24 and said[-1]["kept"]
    place = store.placed("mine")
    assert place.stat().st_mode & 0o777 == 0o700
    assert {one.name for one in place.iterdir()} == {
        *("adapter_config.json", "adapter_model.safetensors", tuned.FILE, "TUNED.md"),
        *("log.jsonl", "spans.jsonl"),
    }
    assert not tuned.unfinished(place).exists()
    assert store.resolve("mine") == str(twin) and store.adapter_of(None, "mine") == str(place)
    assert cli.run(["model", "list"]) == Exit.OK
    assert "mine" in (listed := capfd.readouterr().out) and "changes of" in listed
    (project / "a.py").write_text("x = <FILL>\n")
    fill = ["fill", "a.py", "--model", "mine", "--device", "cpu", "--time", "1"]
    assert cli.run([*fill, "--engine", "local", "--json"]) in (Exit.OK, Exit.UNSETTLED)
    assert json.loads(capfd.readouterr().out)["model"].endswith("+mine")
    assert cli.run(["model", "use", "mine"]) == Exit.OK
    assert cli.run(["tune", "--name", "other", "--base", "mine"]) == Exit.USAGE
    assert "mine is tuned already" in capfd.readouterr().err
    assert tune(twin) == Exit.USAGE
    assert "mine is a model already" in capfd.readouterr().err
    assert cli.run(["model", "rm", "mine", "--yes"]) == Exit.OK and not place.exists()


def diffusion(folder: Path, vocab: int) -> Path:
    """A small DiffusionGemma with random weights, without a vocabulary."""
    model = Model(size("tiny", vocab))
    init_weights(model, seed=0)
    folder.mkdir()
    checkpoint.save(model, folder / checkpoint.SINGLE)
    save_config(model.config, SAMPLING, folder)
    return folder


def test_all_weights_of_tiny_are_a_model_of_their_own(
    project: Path,
    tmp_path: Path,
    capfd: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dgedit_engine.tune.whole.SHAPES", ((64, 16),))
    monkeypatch.setattr("dgedit_engine.tune.whole.TOKENS", 128)
    base = diffusion(tmp_path / "base", 4096)
    for name in ("tokenizer.json", "ability.json", "decoding.json"):
        shutil.copy(TINY / name, base)
    assert tune(base, "--keep", "always") == Exit.OK
    assert "kept as mine" in capfd.readouterr().err
    place = store.placed("mine")
    assert {one.name for one in place.iterdir()} == {
        *("config.json", "generation_config.json", "model.safetensors", "tokenizer.json"),
        *("ability.json", "decoding.json", tuned.FILE, "TUNED.md", "log.jsonl", "spans.jsonl"),
    }
    shutil.rmtree(base)
    assert store.resolve("mine") == str(place) and store.adapter_of(None, "mine") is None
    assert json.loads((place / tuned.FILE).read_text())["base"] == str(base)
    assert cli.run(["model", "list"]) == Exit.OK
    assert "mine" in capfd.readouterr().out and store.fault(place) is None
    (project / "a.py").write_text("x = <FILL>\n")
    fill = ["fill", "a.py", "--model", "mine", "--device", "cpu", "--time", "1"]
    assert cli.run([*fill, "--engine", "local", "--json"]) in (Exit.OK, Exit.UNSETTLED)
    assert json.loads(capfd.readouterr().out)["model"] == "mine"


def test_base_that_does_not_fit_the_device_is_one_line(
    project: Path, tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = diffusion(tmp_path / "base", 300)
    byte_level(base, CHAT)
    assert tune(base, "--dry-run") == Exit.OK
    assert "memory training needs " in capfd.readouterr().err
    monkeypatch.setattr("dgedit_engine.tune.both.free_bytes", lambda device: 1_000_000)
    assert tune(base) == Exit.ENGINE
    error = capfd.readouterr().err
    assert "training needs " in error and "cpu has 0.0 GB free" in error and error.count("\n") == 1
    assert not store.folder().exists() or not any(store.folder().iterdir())


def test_model_that_is_not_better_gets_no_name_and_can_go_on(
    project: Path, twin: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dgedit_engine.tune.verdict import Verdict

    monkeypatch.setattr(Verdict, "reasons", ["held-out holes are not surely better"])
    assert tune(twin) == Exit.NO
    error = capfd.readouterr().err
    assert "not kept: held-out holes are not surely better" in error
    assert not store.placed("mine").exists()
    assert tune(twin) == Exit.USAGE
    assert "--resume goes on" in capfd.readouterr().err
    assert tune(twin, "--resume", "--keep", "always") == Exit.OK
    assert "kept as mine" in capfd.readouterr().err and store.placed("mine").is_dir()


def test_ctrl_c_saves_and_measures_and_resume_goes_on(
    project: Path, twin: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = command._Telling.step

    def step(self: Any, one: Any, minutes: float) -> None:
        told(self, one, minutes)
        if one.step == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(command._Telling, "step", step)
    tune(twin, "--minutes", "60")
    assert "stopped: Ctrl+C" in (error := capfd.readouterr().err) and "after  hole loss" in error
    if store.placed("mine").exists():  # two steps may be enough
        return
    monkeypatch.setattr(command._Telling, "step", lambda *_: signal.raise_signal(signal.SIGINT))
    tune(twin, "--resume", "--keep", "always", "--json")
    said = json.loads((store.placed("mine") / "tuned.json").read_text())
    assert said["steps"] == 3


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--since", "nothing"], Exit.INPUT, "has no commit nothing"),
        (["--since", "--output=x"], Exit.INPUT, "has no commit --output=x"),
        (["--minutes", "0"], Exit.USAGE, "--minutes must be more than 0"),
        (["--resume"], Exit.INPUT, "no run of mine to go on with"),
        (["--base", "absent"], Exit.ENGINE, "no such model: absent"),
        (["--base", "sudoku"], Exit.USAGE, "sudoku is no base: a model of one domain alone"),
        (["--name", "a/b"], Exit.USAGE, "no name for a model"),
        (["--name", "nano"], Exit.USAGE, "nano is a model of dgedit's own"),
        (["--name", ""], Exit.USAGE, "--name says what the new model is called"),
        (["nowhere"], Exit.INPUT, "no such file: "),
        (["empty"], Exit.INPUT, "too little text to tune on: 0 B; 2.0 kB"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    project: Path, twin: Path, capfd: Capture, more: list[str], code: Exit, words: str
) -> None:
    (project / "empty").mkdir()
    assert tune(twin, *more) == code
    error = capfd.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not store.folder().exists() or not any(store.folder().iterdir())


def test_resume_of_another_run_is_refused(project: Path, twin: Path, capfd: Capture) -> None:
    run = tuned.unfinished(store.placed("mine"))
    given = command._given([project], str(twin), "HEAD~1", 1.0, 0)
    command._begin(run, given, tuning.collect([project], since="HEAD~1"))
    assert run.stat().st_mode & 0o777 == 0o700
    (project / "sub").mkdir()
    for more, words in ((["sub"], "has another paths"), (["--since", "HEAD"], "another since")):
        assert tune(twin, "--resume", *more) == Exit.INPUT
        assert words in (error := capfd.readouterr().err) and error.count("\n") == 1
    (run / "texts.json").write_text("{}")
    assert tune(twin, "--resume") == Exit.INPUT
    assert "is damaged: dgedit model rm mine removes it" in capfd.readouterr().err
    assert cli.run(["model", "rm", "mine", "--yes"]) == Exit.OK and not run.exists()


def test_base_is_named_by_its_whole_path(folder: Path) -> None:
    (folder / "base").mkdir()
    (folder / "one.gguf").touch()
    for name in ("base", "one.gguf"):
        assert command._given([folder], name, None, 1.0, 0)["base"] == str(folder / name)
    assert command._given([folder], "absent", None, 1.0, 0)["base"] == "absent"
    (folder / store.default()).mkdir()
    assert command._given([folder], None, None, 1.0, 0)["base"] == store.default()


def test_full_disk_in_mid_run_is_one_line_and_nothing_is_lost(
    project: Path, twin: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    with monkeypatch.context() as broken:
        broken.setattr(torch, "save", full)
        code = tune(twin)
    assert code in (Exit.INPUT, Exit.ENGINE)
    error = capfd.readouterr().err
    assert "cannot be written" in error.splitlines()[-1] and "Traceback" not in error
    assert (tuned.unfinished(store.placed("mine")) / "plan.json").is_file()


def test_dry_run_tells_and_does_nothing(project: Path, twin: Path, capfd: Capture) -> None:
    assert tune(twin, "--dry-run") == Exit.OK
    error = capfd.readouterr().err
    assert "data   4 files" in error and "since then" in error
    assert not store.folder().exists()


def test_terminal_has_one_line_that_is_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from dgedit_engine.tune.run import TuningStep

    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", terminal)
    tell = command._Telling(False)
    tell.before(2.1, SimpleNamespace(elsewhere=1.5, glanced=2.0, spans=[1, 2]))  # type: ignore[arg-type]
    tell.step(TuningStep(1, 0.5, 2.1, 100), 20)
    tell.step(TuningStep(2, 0.75, 1.9, 200, held=1.8), 20)
    tell.measuring()
    said = terminal.getvalue()
    assert " 10:00 left  step 1  loss 2.10  held out 2.00 → 2.00" in said
    assert "  5:00 left  step 2  loss 1.90  held out 2.00 → 1.80" in said
    assert said.endswith("measuring …\n")


def test_demo_trains_a_domain_again_and_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from dgedit_engine.domains import training

    def write(domain: Any, folder: Path, *, resume: bool, told: Callable[[str], None]) -> None:
        assert (domain.name, domain.recipe.minutes, domain.recipe.seed) == ("graph", 2.0, 4)
        (folder / "config.json").write_text(str(resume))
        (folder / "state.pt").touch()
        told("step 20")

    monkeypatch.setattr(training, "train", write)
    given = ["tune", "--demo", "graph", "--name", "mine", "--minutes", "2", "--seed", "4"]
    assert cli.run(given) == Exit.OK
    assert "step 20\nkept as mine" in capsys.readouterr().err
    place = store.folder() / "mine"
    assert [file.name for file in place.iterdir()] == ["config.json"]
    assert cli.run(given) == Exit.USAGE
    assert "mine is a model already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--demo", "graph", "x.txt"], "--demo graph is trained on no x.txt"),
        (["--demo", "graph", "--resume"], "no run of mine"),
        (["--demo", "protein"], "learnt from a FASTA file"),
        (["--demo", "protein", "nowhere.fa"], "not nowhere.fa"),
    ],
)
def test_demo_that_cannot_be_trained_is_one_line(
    more: list[str], words: str, capsys: Capture
) -> None:
    assert cli.run(["tune", "--name", "mine", *more]) not in (Exit.OK, Exit.NO)
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
