"""Proteins: families are split without near copies, and relatives are aligned as by hand."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import numpy as np
import pytest

from dgedit_engine.domains import proteins
from dgedit_engine.domains.alignment import aligned, background, load_scores, nearest, profile
from dgedit_engine.domains.families import families, likeness
from dgedit_engine.rules.proteins import AMINO_ACIDS
from dgedit_engine.types import ModelError

BASE = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQ"


def changed(sequence: str, share: float, rng: random.Random) -> str:
    return "".join(rng.choice(AMINO_ACIDS) if rng.random() < share else one for one in sequence)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(1)
    entries = []
    for place in range(28):
        sequence = changed(BASE, 0.25, rng)
        entries += [f">tr|A{place}|X Made protein OS=Nothing\n{sequence[:40]}\n{sequence[40:]}\n"]
        entries += [f">tr|B{place}|X Made protein (Fragment) OS=Nothing\n{sequence}\n"]
        entries += [f">tr|C{place}|X Rare protein {place} OS=Nothing\n{sequence}\n"]
    entries += [f">tr|D|X Made protein OS=Nothing\n{sequence}AA\n"]  # a near copy
    folder = tmp_path_factory.mktemp("proteins")
    (folder / "DB.fasta.gz").write_bytes(gzip.compress("".join(entries).encode()))
    head = "# a matrix\n  " + " ".join(AMINO_ACIDS)
    rows = [
        f"{one} " + " ".join("5" if one == other else "-2" for other in AMINO_ACIDS)
        for one in AMINO_ACIDS
    ]
    (folder / "blosum62.out").write_text("\n".join((head, *rows)) + "\n")
    return folder / "DB.fasta.gz"


def test_families_are_of_one_name_and_split_without_near_copies(data: Path) -> None:
    (family,) = families(data)
    assert family.name == "Made protein"
    assert len(family.train) == 25
    assert not set(family.train) & set(family.held)
    for held in family.held:
        assert max(likeness(held, one) for one in family.train) <= 0.5


@pytest.mark.parametrize("content", [b"", b"\x1f\x8bnothing", b">a b\nMK\n"])
def test_a_file_without_families_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        families(path)


def test_relatives_are_aligned_around_gaps_and_blanks(data: Path) -> None:
    scores = load_scores(data.with_name("blosum62.out"))
    other = BASE[:20] + BASE[25:]
    query = BASE[:30] + "??" + BASE[32:]
    found = aligned(query, other, scores)
    assert found[20:25] == [None] * 5
    assert found[:20] + found[25:] == list(other)
    assert nearest(query, ["A" * 40, other]) == (other, pytest.approx(51 / 58))
    usual = background([BASE])
    assert usual.sum() == pytest.approx(1)
    columns = profile(query, [BASE] * 20, usual, scores)
    best = "".join(AMINO_ACIDS[place] for place in columns.argmax(1))
    assert best == BASE and np.allclose(columns.sum(1), 1)
    with pytest.raises(ModelError, match="no substitution matrix"):
        load_scores(data)


def test_batches_are_windows_of_the_training_members(data: Path) -> None:
    domain = proteins.domain(data)
    boards = domain.draw(random.Random(0), 0.5)
    (length,) = {len(board.text) for board in boards}
    train = families(data)[0].train
    for board in boards:
        wanted = [
            None if given else one for one, given in zip(board.text, board.given, strict=True)
        ]
        assert any(_holds(one, wanted) for one in train)  # its blanks are a member's, at one place
    assert all(0 < sum(board.given) < length for board in boards)
    batch = domain.batch(boards[:3])
    assert batch.canvas.shape == (3, length) and batch.canvas.min() >= 16


def _holds(sequence: str, wanted: list[str | None]) -> bool:
    """Say whether a sequence has these residues in a row somewhere, None for any."""
    return any(
        all(one in (None, sequence[start + at]) for at, one in enumerate(wanted))
        for start in range(len(sequence) - len(wanted) + 1)
    )
