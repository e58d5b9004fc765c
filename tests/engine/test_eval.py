"""What is judged how, what is drawn, and whole runs: scripted, small, stopped and resumed."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from dgedit_engine.config import Sampling
from dgedit_engine.engine import EMBEDDED, Engine
from dgedit_engine.eval import __main__ as command
from dgedit_engine.eval.fillers import CAUSAL_TOKENS, Answer, _before, fillers, refined
from dgedit_engine.eval.judge import Result, edits, judge, similarity
from dgedit_engine.eval.table import interval, render, summarise
from dgedit_engine.eval.tasks import SINGLE, Task, draw
from dgedit_engine.infill import encode
from dgedit_engine.model import Model, init_weights
from dgedit_engine.prompt import build
from dgedit_engine.tokenizer import Tokenizer
from dgedit_engine.train.__main__ import size
from dgedit_engine.train.corpus import Corpus, parses
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


@pytest.fixture(scope="module")
def engine() -> Engine:
    """A real engine with random weights."""
    tokenizer = Tokenizer(EMBEDDED / "tokenizer.json")
    model = Model(replace(size("tiny", len(tokenizer)), canvas=16))
    init_weights(model, seed=0)
    return Engine(model.eval(), tokenizer, Sampling(steps=2), name="tiny")


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split(" "))


def ask(task: Task) -> InfillRequest:
    return task.request(seed=0, effort=0.5, steps=None)


def answered(text: str, **more: object) -> Result:
    values = {"steps": 2, "ms": 5.0, "stopped": "settled", **more}
    return judge(TASK, "canvas", Answer((text,) if text else (), **values), ("width", " * height"))


def test_judge_tells_equal_from_equal_but_for_blanks() -> None:
    same, padded, wrong = map(answered, ("width * height", "  width * height\n", "width ** height"))
    assert (same.exact, same.identical, same.similarity, same.parses) == (True, True, 1.0, True)
    assert (padded.exact, padded.identical, padded.parses) == (True, False, True)
    assert (wrong.exact, wrong.identical, wrong.similarity) == (False, False, round(14 / 15, 4))


def test_judge_parses_the_file_with_the_infill_in_place() -> None:
    assert answered("(width * height)").parses
    assert not answered("(width * height").parses
    assert answered("").parses  # `return` alone
    broken = Task("line", 0, "", "def (:\n    x\n", 11, 12)
    assert judge(broken, "canvas", Answer(("y",), 1, 1.0, "cap"), ("x",)).parses is None


def test_judge_compares_first_tokens() -> None:
    right = judge(TASK, "canvas", Answer(("width", "!"), 1, 1.0, "cap"), ("width", " *"))
    wrong = judge(TASK, "canvas", Answer(("wid", "th"), 1, 1.0, "cap"), ("width", " *"))
    nothing = judge(TASK, "canvas", Answer((), 1, 1.0, "cap"), ("width", " *"))
    assert (right.first, wrong.first, nothing.first) == (True, False, False)
    assert (right.tokens, right.gold_tokens, nothing.tokens) == (2, 2, 0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("text", "fact"), [("x = '\\d'\n1 is 1", True), ("(", False), ("\0", False), ("(" * 999, False)]
)
def test_parses_takes_any_text_in_silence(text: str, fact: bool) -> None:
    assert parses(text) == fact


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [
        ("kitten", "sitting", 3),
        ("flaw", "lawn", 2),
        ("", "abc", 3),
        ("", "", 0),
        ("ça😀", "ca😀!", 2),
    ],
)
def test_edits_is_levenshteins_distance(one: str, other: str, count: int) -> None:
    assert edits(one, other) == edits(other, one) == count


def test_edits_agree_with_the_plain_recurrence() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        one, other = ("".join(rng.choice(list("abc"), rng.integers(12))) for _ in range(2))
        assert edits(one, other) == plain_edits(one, other)


def plain_edits(one: str, other: str) -> int:
    row = [*range(len(other) + 1)]
    for index, a in enumerate(one):
        above, row = row, [index + 1]
        for place, b in enumerate(other):
            row.append(min(above[place + 1] + 1, row[-1] + 1, above[place] + (a != b)))
    return row[-1]


def test_similarity_is_the_share_of_the_longer_that_stays() -> None:
    assert similarity("", "") == 1
    assert similarity("", "abcd") == similarity("abcd", "") == 0
    assert similarity("abcd", "abXd") == 0.75


def test_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(100):
        low, high = interval((rng.random(60) < 0.3).astype(float).tolist(), range(60))
        held += low <= 0.3 <= high
    assert held >= 88


def test_interval_is_wider_where_spans_share_their_files() -> None:
    values = [float(index % 2) for index in range(20) for _ in range(4)]
    low, high = interval(values, range(80))
    wide_low, wide_high = interval(values, [index // 4 for index in range(80)])
    assert low < 0.5 < high and wide_high - wide_low > 1.5 * (high - low)


def test_interval_of_what_never_happened_is_no_point() -> None:
    low, high = interval([False] * 40, range(40))
    assert low == 0 and high == pytest.approx(0.088, abs=1e-3)  # the exact binomial bound
    assert interval([True] * 40, range(40)) == (1 - high, 1)
    assert interval([0.25, 0.25], [0, 1]) == (0.25, 0.25)


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
    tasks = draw(corpus, limit=2, seed=0)
    backend = Scripted(texts=("pass",), stopped="cap")
    ways = {"one": partial(refined, backend), "two": partial(refined, backend)}
    results = list(command.measure(tasks, ways, words, ask=ask))
    assert [(one.task, one.way) for one in results] == [
        (t.name, way) for t in tasks for way in ways
    ]
    assert {(one.text, one.steps, one.stopped) for one in results} == {("pass", 3, "cap")}
    assert all(hole.text == "" for request in backend.requests for hole in request.holes)
    rest = list(command.measure(tasks, ways, words, ask=ask, done=results[:5]))
    assert [(one.task, one.way) for one in rest] == [(r.task, r.way) for r in results[5:]]
    assert len(backend.requests) == 2 * len(results) - 5


def test_refined_needs_a_last_step() -> None:
    class Broken(Scripted):
        def infill(self, request):  # type: ignore[no-untyped-def]
            yield from list(super().infill(request))[:-1]

    with pytest.raises(RuntimeError, match="last step"):
        refined(Broken(), ask(TASK))


def test_causal_is_the_greedy_reading_and_leaves_the_prompt(engine: Engine) -> None:
    answer = fillers(engine)["causal"](ask(TASK))
    config = engine.model.config
    prompt = build(ask(TASK), engine.tokenizer, context=config.context - 8 * config.canvas)
    assert engine.cache.ids == prompt.ids
    ids, ended = list(prompt.ids), False
    while not ended and len(ids) < len(prompt.ids) + CAUSAL_TOKENS:
        engine.cache.truncate(0)  # every token anew, without the cache
        with torch.inference_mode():
            hidden = engine.model.encode(torch.tensor([ids]), engine.cache)
            ids.append(int(engine.model.logits(hidden)[0, -1].argmax()))
        ended = ids[-1] in config.eos
    found = ids[len(prompt.ids) : len(ids) - ended]
    text = "".join(piece.text for piece in engine.tokenizer.pieces(found))
    assert answer.text == text.replace("\ufffd", "")
    assert answer.steps == len(found) + ended
    assert answer.stopped == ("settled" if ended else "cap")


@pytest.mark.parametrize(
    ("closing", "kept"),
    [("\n```", ("a", "\n", "b")), ("b", ("a", "\n")), ("zz", ("a", "\n", "b", "\n`", "``"))],
)
def test_causal_ends_before_a_closing_text(closing: str, kept: tuple[str, ...]) -> None:
    assert _before(closing, ("a", "", "\n", "b", "\n`", "``")) == kept


def test_fillers_read_the_prompt_anew_each_time(engine: Engine) -> None:
    ways = fillers(engine)
    encode(engine.model, engine.cache, [5, 6, 7])
    first, second = ways["canvas"](ask(TASK)), ways["canvas"](ask(TASK))
    assert (first.pieces, first.steps) == (second.pieces, second.steps)
    assert ways["empty"](ask(TASK)) == Answer((), 0, 0.0, "unchanged")


def test_table_has_a_row_for_each_kind_and_way_and_for_all() -> None:
    results = [answered("width * height"), answered("x", stopped="cap")]
    summaries = summarise(results, kinds=SINGLE, ways=["canvas", "causal"])
    assert [(one["kind"], one["way"], one["spans"]) for one in summaries] == [
        ("line", "canvas", 2),
        ("all", "canvas", 2),
    ]
    assert summaries[0]["rates"]["exact"] == (0.5, 0.5, 0.5)  # one file: nothing to draw anew
    assert summaries[0]["settled"] == 0.5
    lines = render(summaries).splitlines()
    assert lines[0].split()[:4] == ["kind", "way", "spans", "exact"]
    assert "50 [50–50]" in lines[2] and lines[2].endswith("50")
    json.dumps(summaries)


def run(monkeypatch: pytest.MonkeyPatch, engine: Engine, *arguments: object) -> int:
    monkeypatch.setattr(command, "open_engine", lambda model, device: engine)
    monkeypatch.setattr("dgedit_engine.eval.fillers.CAUSAL_TOKENS", 4)
    return command.main([str(argument) for argument in arguments])


def test_command_prints_a_table_and_one_json_line(
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = write_corpus(tmp_path)
    assert run(monkeypatch, engine, "--corpus", folder, "--limit", 1, "--steps", 1) == 0
    out, err = capsys.readouterr()
    report = json.loads(out.splitlines()[-1])
    assert report["steps"] == 1 and report["corpus"]["files"] == 9
    ways = [(kind, way) for kind in (*SINGLE, "all") for way in ("canvas", "causal", "empty")]
    assert [(one["kind"], one["way"]) for one in report["summaries"]] == ways
    assert out.startswith("kind") and err == ""  # no progress bar where nobody looks


def test_command_goes_on_where_it_stopped(
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, out = write_corpus(tmp_path), tmp_path / "results.jsonl"
    line = ("--corpus", folder, "--steps", 1, "--out", out, "--limit")
    assert run(monkeypatch, engine, *line, 2) == 0
    printed, whole = capsys.readouterr().out, out.read_bytes()
    rows = whole.splitlines(keepends=True)
    assert len(rows) == 1 + 4 * 2 * 3
    kept = b"".join(rows[:9])
    out.write_bytes(kept + rows[9][:20])  # cut off while writing
    assert run(monkeypatch, engine, *line, 2) == 0
    assert out.read_bytes().startswith(kept)
    assert [stable(row) for row in out.read_bytes().splitlines()] == [stable(row) for row in rows]
    again = out.read_bytes()
    assert run(monkeypatch, engine, *line, 1) == 0  # fewer: nothing to do, and a smaller table
    assert out.read_bytes() == again
    assert len(capsys.readouterr().out) > 0 and printed.startswith("kind")


def stable(row: bytes) -> dict[str, object]:
    return {key: value for key, value in json.loads(row).items() if key != "ms"}


def test_command_says_in_one_line_what_is_wrong(
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, out = write_corpus(tmp_path / "corpus", files=2), tmp_path / "results.jsonl"

    def failing(model: str | None, device: str | None) -> Engine:
        raise ModelError("no such model: x")

    said = []
    tiny = ("--limit", 1, "--steps", 1)
    for code, arguments in [
        (3, ("--corpus", tmp_path / "nowhere")),
        (2, ("--corpus", folder, "--effort", 2)),
        (0, ("--corpus", folder, "--out", out, *tiny)),
        (2, ("--corpus", folder, "--out", out, *tiny, "--seed", 1)),
        (3, ("--corpus", folder, "--out", tmp_path, *tiny)),
    ]:
        assert run(monkeypatch, engine, *arguments) == code, arguments
        said += capsys.readouterr().err.splitlines()
    for text in ("not results\n", "nor these"):
        out.write_text(text)
        assert run(monkeypatch, engine, "--corpus", folder, "--out", out, *tiny) == 3
        assert out.read_text() == text
    monkeypatch.setattr(command, "open_engine", failing)
    assert command.main(["--corpus", str(folder), "--model", "x"]) == 5
    said += capsys.readouterr().err.splitlines()
    assert len(said) == 7 and all(line.startswith("eval: ") for line in said)
    assert "seed differ" in said[2] and said[6] == "eval: no such model: x"
