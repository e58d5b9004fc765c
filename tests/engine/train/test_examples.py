"""What a training batch holds."""

from __future__ import annotations

import inspect
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from dgedit_engine.prompt.layout import BOS, EOS, FILE, HOLES, MID, NOTE, PRE, SPECIALS, SUF
from dgedit_engine.train import corpus, examples, spans, vocabulary
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.examples import assemble, batches
from dgedit_engine.train.spans import KINDS
from dgedit_engine.train.vocabulary import learn

MODULES = (corpus, examples, spans, vocabulary)
T, C, B = 128, 32, 16


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return learn([inspect.getsource(module) for module in MODULES], 600)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder: Path = tmp_path_factory.mktemp("corpus")
    texts = [inspect.getsource(module).encode() for module in MODULES]
    texts += [b"import os\n\n\ndef home():\n    # Where the user lives.\n    return os.getcwd()\n"]
    (folder / "train.txt").write_bytes(b"".join(texts))
    np.save(folder / "train.idx.npy", np.cumsum([0, *map(len, texts)], dtype=np.int64))
    (folder / "train.paths").write_text("".join(f"p/m{n}.py\n" for n in range(len(texts))))
    return Corpus(folder)


def decode(tokenizer: Tokenizer, ids: list[int]) -> str:
    text: str = tokenizer.decode(ids, skip_special_tokens=False)
    return text


def test_assemble_puts_the_suffix_first(tokenizer: Tokenizer) -> None:
    made = assemble("a = 1\nb = 2\nc", [(6, 11)], tokenizer, budget=T, path="x.py", note="two")
    want = "<bos><|file|>x.py<|note|>two<|suf|>\nc<|pre|>a = 1\n"
    assert decode(tokenizer, made.prompt) == want
    assert [decode(tokenizer, hole) for hole in made.holes] == ["b = 2"]


def test_assemble_puts_the_prefix_first(tokenizer: Tokenizer) -> None:
    made = assemble("a = 1\nb = 2\nc", [(6, 11)], tokenizer, budget=T, suffix_first=False)
    assert decode(tokenizer, made.prompt) == "<bos><|pre|>a = 1\n<|suf|>\nc<|mid|>"


def test_assemble_marks_several_holes(tokenizer: Tokenizer) -> None:
    made = assemble("a = 1\nb = 2\nc", [(4, 5), (10, 11), (12, 13)], tokenizer, budget=T)
    want = "<bos><|pre|>a = <|hole0|>\nb = <|hole1|>\n<|hole2|><|mid|>"
    assert decode(tokenizer, made.prompt) == want
    assert [decode(tokenizer, hole) for hole in made.holes] == ["1", "2", "c"]


@pytest.mark.parametrize("suffix_first", [True, False])
def test_assemble_keeps_what_is_next_to_the_hole(tokenizer: Tokenizer, suffix_first: bool) -> None:
    text = "x = 1\n" * 300 + "hole" + "\ny = 2" * 300
    made = assemble(text, [(1800, 1804)], tokenizer, budget=T, suffix_first=suffix_first)
    assert len(made.prompt) == T
    shown = decode(tokenizer, made.prompt)
    begin, end = shown.split("<|pre|>"), shown.split("<|suf|>")
    prefix = begin[1] if suffix_first else begin[1].split("<|suf|>")[0]
    suffix = end[1].split("<|pre|>")[0] if suffix_first else end[1].removesuffix("<|mid|>")
    assert text[:1800].endswith(prefix) and text[1804:].startswith(suffix)
    assert len(tokenizer.encode(suffix).ids) == pytest.approx(T / 3, abs=2)


def test_assemble_names_a_budget_that_is_too_small(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="40 tokens"):
        assemble("a" + "\nb = 2" * 99 + "c", [(0, 1), (595, 596)], tokenizer, budget=40)


def test_batches_have_exact_shapes_and_whole_canvases(
    documents: Corpus, tokenizer: Tokenizer
) -> None:
    made = batches(documents, tokenizer, seed=0, prompt_tokens=T, canvas=C, batch=B)
    kinds = set()
    for batch in islice(made, 12):
        assert batch.prompt.shape == (B, T) and batch.canvas.shape == batch.pinned.shape == (B, C)
        assert batch.prompt.dtype == batch.canvas.dtype == np.int64 and batch.pinned.dtype == bool
        kinds |= set(batch.kind.tolist())
        for row in range(B):
            check_prompt(batch.prompt[row].tolist())
            check_canvas(batch.canvas[row], batch.pinned[row], int(batch.length[row]))
            assert batch.pinned[row].any() == (KINDS[batch.kind[row]] == "holes")
    assert kinds == set(range(len(KINDS)))


def check_prompt(ids: list[int]) -> None:
    """One layout that ends where the canvas begins, behind nothing but another text's end."""
    start = ids.index(BOS)
    filler, prompt = ids[:start], ids[start:]
    assert not filler or filler[-1] == EOS
    assert all(token >= len(SPECIALS) for token in filler if token != EOS)
    markers = [token for token in prompt if token < len(SPECIALS) and token not in (FILE, NOTE)]
    holes = [token for token in markers if token in HOLES]
    wanted = [[BOS, SUF, PRE], [BOS, PRE, SUF, MID], [BOS, PRE, *HOLES[: len(holes)], MID]]
    assert markers in wanted
    assert SUF in prompt[:-1] or prompt[-1] == MID


def check_canvas(canvas: np.ndarray, pinned: np.ndarray, length: int) -> None:
    """Texts, each with an end behind it, between pinned markers in order."""
    places = np.flatnonzero(pinned)
    assert canvas[places].tolist() == list(HOLES[1 : len(places) + 1])
    for part in np.split(canvas, places):
        text = part[part != EOS]
        assert (part[: len(text)] == text).all()
        assert len(places) == 0 or len(text) < len(part)
    last = int(places[-1]) + 1 if len(places) else 0
    ends = np.flatnonzero(canvas[last:] == EOS)
    assert length == (last + ends[0] + 1 if len(ends) else C)


def test_batches_hold_holes_that_go_on_behind_the_canvas(
    documents: Corpus, tokenizer: Tokenizer
) -> None:
    made = list(
        islice(batches(documents, tokenizer, seed=1, prompt_tokens=T, canvas=8, batch=B), 9)
    )
    canvases = np.concatenate([batch.canvas for batch in made])
    full = (canvases != EOS).all(axis=1)
    assert 0.02 < full.mean() < 0.5


def test_a_batch_follows_from_the_seed_and_its_number(
    documents: Corpus, tokenizer: Tokenizer
) -> None:
    def read(seed: int, start: int) -> list[list[int]]:
        shape = {"prompt_tokens": T, "canvas": C, "batch": 4}
        made = batches(documents, tokenizer, seed=seed, start=start, **shape)
        return [row for batch in islice(made, 3) for row in batch.prompt.tolist()]

    assert read(5, 0)[4:] == read(5, 1)[:8]
    assert read(5, 0) != read(6, 0)
