"""A domain's training: seconds of it are seen in the loss, and its folder opens and fills."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dgedit_engine.decode.decoding import load_decoding
from dgedit_engine.domains import graphs, sudoku
from dgedit_engine.domains.domain import Board, Domain, shape
from dgedit_engine.domains.solving import Solver
from dgedit_engine.domains.training import character_tokenizer, train
from dgedit_engine.engine import open_engine
from dgedit_engine.model.config import load_config
from dgedit_engine.prompt.layout import SPECIALS
from dgedit_engine.rules import sudoku as rules
from dgedit_engine.types import Hole, InfillRequest, Passage, collect
from dgedit_engine.weights import checkpoint


def easy(rng: random.Random, progress: float) -> Sequence[Board]:
    base = sudoku.minimal(16, 4, 3)
    return [sudoku.drawn(rng, 16, rng.randint(8, 12), base) for _ in range(16)]


def small(steps: int = 40) -> Domain:
    domain = sudoku.domain()
    vocab = domain.config.vocab
    config = shape(vocab=vocab, dim=32, layers=2, mlp=48, heads=2, canvas=81, marks=rules.MARKS)
    recipe = replace(domain.recipe, steps=steps)
    return replace(domain, config=config, recipe=recipe, draw=easy)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("domains") / "sudoku"
    told: list[str] = []
    train(small(), folder, told=told.append)
    yield folder, told


def test_training_lowers_the_loss_and_keeps_what_is_given(
    trained: tuple[Path, list[str]],
) -> None:
    folder, told = trained
    assert told[0].startswith("sudoku: 25,408 parameters")
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert entries[-1]["canvas"] < 0.85 * entries[0]["canvas"]
    config = load_config(folder)
    solver = Solver(checkpoint.load(config, folder, dtype=torch.float32), small())
    boards = sudoku.held_out(16, 8, 4)
    refined = [solver.refined(board, small().sampling) for board in boards]
    certain, ordered = solver.certain_first(boards), solver.left_to_right(boards)
    for found in (refined, certain, ordered):
        for board, one in zip(boards, found, strict=True):
            kept = zip(board.text, board.given, one.text, strict=True)
            assert all(own == letter for own, given, letter in kept if given)
            assert set(one.text) <= set("1234")
    assert {one.steps for one in certain} == {8}
    alone = [solver.left_to_right([board])[0] for board in boards]
    assert [one.text for one in alone] == [one.text for one in ordered]


def test_training_repeats_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(small(4), whole, told=lambda line: None)
    train(small(4), parts, stop=2, told=lambda line: None)
    train(small(4), parts, resume=True, told=lambda line: None)
    weights = [(folder / "model.safetensors").read_bytes() for folder in (whole, parts)]
    assert weights[0] == weights[1]


def test_its_folder_is_a_model_that_fills_puzzles(trained: tuple[Path, list[str]]) -> None:
    folder, _ = trained
    assert load_decoding(folder).form == "sudoku"
    engine = open_engine(str(folder), "cpu")
    assert engine.ability.languages == {".sudoku", ".sdk", ".sdm"}
    text = "..43 # upper\n..1.\n\n21..\n.3..\n"
    blanks = tuple(place for place, one in enumerate(text) if one == ".")
    (filled,) = collect(
        engine.infill(InfillRequest((Passage("a.sudoku", (Hole(text, blanks),)),)))
    ).texts
    assert len(filled) == len(text)
    for place, (before, after) in enumerate(zip(text, filled, strict=True)):
        assert after in "1234" if place in blanks else after == before


def test_part_of_a_puzzle_is_filled_where_its_hole_is(trained: tuple[Path, list[str]]) -> None:
    engine = open_engine(str(trained[0]), "cpu")
    parts = ("..43\n", Hole("..1.", (0, 1, 3)), "\n21..\n.3..\n")
    (filled,) = collect(engine.infill(InfillRequest((Passage("a.sudoku", parts),)))).texts
    assert filled[2] == "1" and set(filled) <= set("1234")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((Hole("1.2", (1,)),), "16, 36 or 81 cells, not 3"),
        ((Hole("1234"),), "blanks"),
        ((Hole("." * 16, (0,)), "\n", Hole("." * 16, (0,))), "2 holes"),
        (("11" + "." * 10, Hole("....", (0,))), "stands twice"),
        ((Hole("." * 16, (0,), "xyz"),), "one of 1234, not 'xyz'"),
    ],
)
def test_what_it_cannot_fill_is_one_line(
    trained: tuple[Path, list[str]], parts: tuple[str | Hole, ...], words: str
) -> None:
    engine = open_engine(str(trained[0]), "cpu")
    with pytest.raises(ValueError, match=words):
        collect(engine.infill(InfillRequest((Passage("a.sudoku", parts),))))


@pytest.mark.parametrize("how", [{"exact": True}, {"reading": "causal"}])
def test_it_has_no_causal_reading(trained: tuple[Path, list[str]], how: dict[str, Any]) -> None:
    engine = open_engine(str(trained[0]), "cpu")
    request = InfillRequest((Passage("a.sudoku", (Hole("." * 16, (0,)),)),), **how)
    with pytest.raises(ValueError, match="no causal reading"):
        collect(engine.infill(request))


def test_vocabulary_is_a_token_a_character() -> None:
    tokenizer = character_tokenizer("ab1\n")
    assert tokenizer.get_vocab_size() == len(SPECIALS) + 4
    ids = tokenizer.encode("ba\n1", add_special_tokens=False).ids
    assert ids == [len(SPECIALS) + place for place in (1, 0, 3, 2)]
    assert tokenizer.decode(ids) == "ba\n1"


def test_batches_follow_the_curriculum(monkeypatch: pytest.MonkeyPatch) -> None:
    for cells, count in ((16, 3), (36, 3), (81, 2)):
        monkeypatch.setitem(sudoku.PUZZLES, cells, count)
    domain = sudoku.domain()

    def fewest(progress: float) -> float:
        boards = [domain.draw(random.Random(seed), progress)[:8] for seed in range(8)]
        large = [board for some in boards for board in some if len(board.text) == 81]
        return min(sum(board.given) for board in large)

    assert fewest(0.2) > 30 > fewest(1.0)


def test_graphs_of_all_kinds_are_drawn_with_their_answers() -> None:
    rng = random.Random(1)
    for board in (
        graphs.coloured(9, rng, spare=0.5, open_=False),
        graphs.coloured(9, rng, spare=0.0, open_=True),
        graphs.measured(9, rng),
    ):
        assert graphs.right(board, board.text)
        other = "".join("3" if one == "1" else "1" for one in board.text)
        assert not graphs.right(board, other)
    (size,) = {len(board.text) for board in graphs.draw(rng, 0.0)}
    assert size in (6, 7, 8)
