"""What is judged how, what is drawn, and whole runs: scripted, small, stopped and resumed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dgedit_engine.engine import Engine
from dgedit_engine.eval import __main__ as command
from dgedit_engine.eval import measure as module
from dgedit_engine.eval.fillers import DEFAULT, Filler, FillerOutput, fillers, folded
from dgedit_engine.eval.measure import EvalPlan, measure
from dgedit_engine.eval.tasks import SINGLE, Task, draw
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.types import Hole, InfillRequest, ModelError
from scripted import Scripted

TEXT = "def area(width, height):\n    return width * height\n"
TASK = Task("line", 0, "shape.py", TEXT, TEXT.index("width *"), len(TEXT) - 1)


def write_corpus(folder: Path, files: int = 9) -> Path:
    """A corpus with held-out files alone."""
    names = [f"name{index}" for index in range(files)]
    texts = [
        f"# {n} ça\n" + "".join(TEXT.replace("area", f"{n}_{k}") for k in range(5)) for n in names
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "heldout.txt").write_bytes("".join(texts).encode())
    np.save(folder / "heldout.idx.npy", np.cumsum([0, *(len(text.encode()) for text in texts)]))
    (folder / "heldout.paths").write_text("".join(f"pkg/{n}.py\n" for n in names))
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(write_corpus(tmp_path / "corpus"), "heldout")


def said(text: str, origin: str = "canvas") -> Filler:
    """A way of filling that always says the same."""
    return lambda request, gold_tokens: FillerOutput((text,), 2, 1.0, "settled", origin)


FAKES: dict[str, Filler] = {
    "fill": said("pass"),
    "draft": said("width", "draft"),
    "oracle": lambda request, gold_tokens: FillerOutput(("x",) * gold_tokens, 1, 1.0, "cap"),
}


@pytest.fixture
def engine(tiny: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A small engine, which every command opens, with our own ways of filling."""
    monkeypatch.setattr(command, "open_engine", lambda model, device: tiny)
    monkeypatch.setattr(module, "fillers", lambda engine: FAKES)
    monkeypatch.setattr(module, "DEFAULT", tuple(FAKES))
    return tiny


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split(" "))


def ask(task: Task) -> InfillRequest:
    return task.request(seed=0, effort=0.5, steps=None)


def test_draw_repeats_with_its_seed_and_grows_with_its_limit(corpus: Corpus) -> None:
    few, more = draw(corpus, limit=3, seed=1), draw(corpus, limit=12, seed=1)
    assert draw(corpus, limit=3, seed=1) == few == more[: len(few)]
    assert draw(corpus, limit=3, seed=2) != few
    names = [task.name for task in more]
    assert len(set(names)) == len(names) == 4 * 12
    assert [task.kind for task in few] == [*SINGLE] * 3
    assert len({task.file for task in few}) == 3  # one span of each kind from a file at first


def test_draw_ends_when_a_turn_finds_nothing_new(tmp_path: Path) -> None:
    corpus = Corpus(write_corpus(tmp_path, files=1), "heldout")
    kinds = [task.kind for task in draw(corpus, limit=100_000, seed=0)]
    assert {*kinds} == {*SINGLE} and len(kinds) < 100_000


def test_task_shows_the_model_whole_lines_around_an_empty_hole() -> None:
    line = "x = 1\n"
    text = line * 6000
    start = 6 * 4000 + 4
    task = Task("line", 0, "pkg/a.py", text, start, start + 1)
    before, hole, after = task.passage.parts
    assert isinstance(before, str) and isinstance(after, str) and hole == Hole()
    assert before.startswith(line) and 15_000 < len(before) <= 16_000
    assert after.endswith("\n" + line) and 7_000 < len(after) <= 8_000
    assert task.filled(task.gold) == text and task.filled("22")[start : start + 3] == "22\n"
    assert Task("line", 0, "", "abc", 0, 3).passage.parts == (Hole(),)


def test_request_is_the_same_whatever_the_hole_held() -> None:
    other = Task(
        "line", 0, "shape.py", TASK.filled("nothing of the kind"), TASK.start, TASK.start + 19
    )
    assert ask(other) == ask(TASK) and TASK.gold not in str(ask(TASK))


def test_measure_judges_every_way_and_skips_what_is_done(corpus: Corpus) -> None:
    tasks, asked = draw(corpus, limit=2, seed=0), []

    def fill(request: InfillRequest, gold_tokens: int) -> FillerOutput:
        asked.append((request, gold_tokens))
        return FillerOutput(("pass",), 3, 1.0, "cap", "revised")

    ways: dict[str, Filler] = {"one": fill, "two": fill}
    results = list(measure(tasks, ways, words, ask=ask))
    names = [(task.name, way) for task in tasks for way in ways]
    assert [(one.task, one.way) for one in results] == names
    facts = {(one.text, one.steps, one.stopped, one.origin, one.passed) for one in results}
    assert facts == {("pass", 3, "cap", "revised", None)}
    assert all(hole.text == "" for request, _ in asked for hole in request.holes)
    assert [tokens for _, tokens in asked[::2]] == [len(words(task.gold)) for task in tasks]
    rest = list(measure(tasks, ways, words, ask=ask, done=results[:5]))
    assert [(one.task, one.way) for one in rest] == names[5:]
    assert len(asked) == 2 * len(results) - 5


def test_measure_runs_the_tests_that_a_task_has() -> None:
    task = replace(TASK, check="\nassert area(2, 3) == 6\n", identity="Area/0")
    ways = {"right": said("height * width"), "wrong": said("width + height"), "same": said("0")}
    found = {one.way: one for one in measure([task], ways, words, ask=ask)}
    assert {way: one.passed for way, one in found.items()} == {
        **{"right": True, "wrong": False, "same": False}
    }
    assert not found["right"].exact and found["right"].task == "Area/0"


def test_folded_needs_a_last_step() -> None:
    steps = list(Scripted(texts=("one two",)).infill(ask(TASK)))
    answer = folded(iter(steps))
    assert (answer.text, answer.steps, answer.stopped, answer.origin) == (
        *("one two", 3, "settled", ""),
    )
    for broken in ([], steps[:-1]):
        with pytest.raises(RuntimeError, match="last step"):
            folded(iter(broken))


def test_fillers_read_the_prompt_anew_and_empty_fills_with_nothing(tiny: Engine) -> None:
    ways = fillers(tiny)
    assert set(DEFAULT) <= set(ways)
    request = replace(ask(TASK), steps=1)
    first, second = (ways["oracle"](request, 5) for _ in range(2))
    assert first.pieces == second.pieces and first.steps == second.steps
    assert ways["empty"](request, 5) == FillerOutput((), 0, 0.0, "unchanged")


def run(*arguments: object) -> int:
    return command.main([str(argument) for argument in arguments])


def test_command_prints_a_table_and_one_json_line(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--corpus", write_corpus(tmp_path), "--limit", 1, "--steps", 1) == 0
    out, err = capsys.readouterr()
    report = json.loads(out.splitlines()[-1])
    assert report["steps"] == 1 and report["corpus"]["files"] == 9
    ways = [(kind, way) for kind in (*SINGLE, "all") for way in FAKES]
    assert [(one["kind"], one["way"]) for one in report["summaries"]] == ways
    assert err == ""  # no progress bar where nobody looks


def test_command_measures_the_ways_that_it_is_told(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_corpus(tmp_path)
    assert run("--corpus", folder, "--limit", 1, "--ways", "draft,fill", "oracle") == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [one["way"] for one in report["summaries"]][:3] == ["draft", "fill", "oracle"]
    assert run("--corpus", folder, "--limit", 1, "--ways", "magic") == 2
    assert "'magic' (known: fill, draft, oracle)" in capsys.readouterr().err


def test_command_needs_no_corpus(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--limit", 2) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["corpus"]["files"] >= 250
    assert {one["spans"] for one in report["summaries"]} == {2, 8}


def test_command_goes_on_where_it_stopped(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = write_corpus(tmp_path), tmp_path / "results.jsonl"
    line = ("--corpus", folder, "--out", out, "--limit")
    assert run(*line, 2) == 0
    printed, rows = capsys.readouterr().out, out.read_bytes().splitlines(keepends=True)
    assert len(rows) == 1 + 4 * 2 * 3
    kept = b"".join(rows[:9])
    out.write_bytes(kept + rows[9][:20])  # cut off while writing
    assert run(*line, 2) == 0
    assert out.read_bytes() == b"".join(rows)
    assert capsys.readouterr().out == printed
    assert run(*line, 1, "--ways", "fill") == 0  # fewer: nothing to do, and a smaller table
    assert out.read_bytes() == b"".join(rows)


def test_results_of_other_weights_are_another_runs(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ("--corpus", write_corpus(tmp_path), "--out", tmp_path / "results", "--limit", 1)
    assert run(*line) == 0
    with torch.no_grad():
        [*engine.model.state_dict().values()][-1].mul_(1.5)  # a single tensor, and the last one
    assert run(*line) == 2
    assert "weights differ" in capsys.readouterr().err


def test_plan_draws_all_of_a_benchmark_and_names_a_task_once(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"entry_point": "f", "prompt": "def f():\n", "suffix": "", "test": "def check(f): f()"}
    rows = [
        {**row, "task_id": f"SingleLineInfilling/HumanEval/{n}/L0", "canonical_solution": " pass"}
        for n in range(5)
    ]
    file = tmp_path / "tasks.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    monkeypatch.setitem(FAKES, "fill", said(" return 1"))

    def report(**values: Any) -> dict[str, Any]:
        text = module.run(EvalPlan(benchmarks=[file], ways=["fill"], **values), lambda: engine)
        found: dict[str, Any] = json.loads(text.splitlines()[-1])
        return found

    whole = report()
    assert "corpus" not in whole and list(whole["benchmarks"]) == ["tasks.jsonl"]
    assert [(one["kind"], one["spans"]) for one in whole["summaries"]] == [("single-line", 5)]
    assert whole["summaries"][0]["rates"]["pass@1"][0] == 1
    assert report(limit=2)["summaries"][0]["spans"] == 2
    both = report(limit=1, corpus="shipped")["summaries"]
    assert [one["kind"] for one in both] == [*SINGLE, "single-line", "all"]
    with pytest.raises(ValueError, match="before it too"):
        module.run(EvalPlan(benchmarks=[file, file]), lambda: engine)


def test_command_says_in_one_line_what_is_wrong(
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, out = write_corpus(tmp_path / "corpus", files=2), tmp_path / "results.jsonl"
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n")

    def failing(model: str | None, device: str | None) -> Engine:
        raise ModelError(f"no such model: {model}")

    tiny, corpus = ("--limit", 1), ("--corpus", folder)
    cases: list[tuple[int, tuple[object, ...], str]] = [
        (3, ("--corpus", tmp_path / "nowhere"), "nowhere"),
        (3, ("--benchmark", tmp_path / "none.jsonl"), "none.jsonl: No such file"),
        (3, ("--benchmark", bad), "bad.jsonl: line 1: language: missing"),
        (2, (*corpus, "--effort", 2), "2"),
        (2, (*corpus, "--limit", 0), "limit must be at least 1, not 0"),
        (0, (*corpus, "--out", out, *tiny), ""),
        (2, (*corpus, "--out", out, *tiny, "--seed", 1), "another run: seed differ"),
        (3, (*corpus, "--out", tmp_path, *tiny), "directory"),
    ]
    for code, arguments, words in cases:
        assert run(*arguments) == code, arguments
        said = capsys.readouterr().err.splitlines()
        assert len(said) == (code > 0)
        assert code == 0 or (said[0].startswith("eval: ") and words in said[0])
    for text in ("not results\n", "nor these"):
        out.write_text(text)
        assert run(*corpus, "--out", out, *tiny) == 3
        assert out.read_text() == text
    capsys.readouterr()
    monkeypatch.setattr(command, "open_engine", failing)
    assert run(*corpus, "--model", "x") == 5
    assert capsys.readouterr().err == "eval: no such model: x\n"
