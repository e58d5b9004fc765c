"""A head over a shortlist: the same logits at its places, and the text's own tokens beside."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.head import Head, bitmap, shortlist
from dgedit_engine.model.model import Model
from dgedit_engine.model.products import Matrix
from dgedit_kernels.packed import available, packed
from dgedit_kernels.quantised import quantise
from small_base import CONFIG, model

VOCAB, DIM = 60, 32
IDS = torch.tensor([0, 1, 5, 9, 20, 21, 40, 59])


@pytest.fixture
def embedding() -> Tensor:
    return torch.randn(VOCAB, DIM, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def hidden() -> Tensor:
    return torch.randn(2, 3, DIM, generator=torch.Generator().manual_seed(1))


def head(embedding: Tensor) -> Head:
    return Head(embedding[IDS], IDS, VOCAB)


def assert_inverse(one: Head, tokens: list[int]) -> None:
    """Tokens and places are each other's."""
    places = torch.arange(len(tokens))
    assert one.tokens(places).tolist() == tokens
    assert one.places(torch.tensor(tokens)).tolist() == places.tolist()
    others = torch.tensor([token for token in range(VOCAB) if token not in tokens])
    assert (one.places(others) == -1).all()


def test_whole_vocabulary_is_in_order(embedding: Tensor, hidden: Tensor) -> None:
    one = Head(embedding)
    torch.testing.assert_close(one.raw(hidden), hidden @ embedding.T)
    every = torch.arange(VOCAB)
    assert torch.equal(one.tokens(every), every) and torch.equal(one.places(every), every)
    one.admit([3, 7], embedding)
    assert one.raw(hidden).shape[-1] == VOCAB and torch.equal(one.rows(), embedding)


def test_logits_are_the_whole_vocabulary_s_at_their_places(
    embedding: Tensor, hidden: Tensor
) -> None:
    one = head(embedding)
    torch.testing.assert_close(one.raw(hidden), (hidden @ embedding.T)[..., IDS])
    assert_inverse(one, IDS.tolist())
    torch.testing.assert_close(one.rows(), embedding[IDS])


def test_admitted_tokens_stand_behind(embedding: Tensor, hidden: Tensor) -> None:
    one = head(embedding)
    one.admit([30, 5, 2, 59], embedding)
    tokens = [*IDS.tolist(), 2, 30]
    assert_inverse(one, tokens)
    torch.testing.assert_close(one.raw(hidden), (hidden @ embedding.T)[..., tokens])
    torch.testing.assert_close(one.rows(), embedding[tokens])


def test_tokens_admitted_before_are_so_no_more(embedding: Tensor, hidden: Tensor) -> None:
    one = head(embedding)
    for wanted, beside in (
        ({30, 2}, [2, 30]),
        ({30, 2, 0}, [2, 30]),
        ({2, 33}, [2, 33]),
        ({3}, [3]),
        ({5}, []),
        (set(), []),
        ({58}, [58]),
    ):
        one.admit(wanted, embedding)
        assert_inverse(one, [*IDS.tolist(), *beside])
        assert one.raw(hidden).shape[-1] == len(one.rows()) == len(IDS) + len(beside)


def test_odds_among_the_shortlist_are_those_of_the_whole(embedding: Tensor, hidden: Tensor) -> None:
    whole = (hidden @ embedding.T).softmax(-1)[..., IDS]
    few = head(embedding).raw(hidden).softmax(-1)
    torch.testing.assert_close(few, whole / whole.sum(-1, keepdim=True))


@pytest.mark.skipif(not available(), reason="this CPU has no such products")
def test_packed_rows_read_nearly_the_same(embedding: Tensor, hidden: Tensor) -> None:
    one = head(embedding)
    right = one.raw(hidden)
    one.weight = packed(embedding[IDS])
    one.admit([30, 2], embedding)
    found = one.raw(hidden)
    assert found.dtype == torch.float32
    assert float((found[..., : len(IDS)] - right).abs().max()) < 0.3
    torch.testing.assert_close(found[..., len(IDS) :], (hidden @ embedding.T)[..., [2, 30]])
    torch.testing.assert_close(one.rows(), embedding[[*IDS.tolist(), 2, 30]])


def test_narrow_rows_beside_a_wide_stream(embedding: Tensor, hidden: Tensor) -> None:
    """bfloat16 rows, and a table of which only some are looked at."""
    table = embedding.bfloat16()
    one = Head(table[IDS], IDS, VOCAB)
    one.admit([2], table)
    found = one.raw(hidden)
    assert found.dtype == torch.float32 and one.rows().dtype == torch.bfloat16
    right = (hidden @ embedding.T)[..., [*IDS.tolist(), 2]]
    torch.testing.assert_close(found, right, rtol=0.05, atol=0.2)


def test_rows_of_codes_are_their_worth(embedding: Tensor) -> None:
    codes = quantise(embedding[IDS], "int8")
    weight: Matrix = codes
    torch.testing.assert_close(Head(weight, IDS, VOCAB).rows(), codes.dequantised())


def test_bitmap_and_shortlist_are_inverse() -> None:
    for vocab, ids in ((60, [0, 7, 8, 59]), (64, [63]), (8, []), (9, list(range(9)))):
        found = bitmap(ids, vocab)
        assert len(found) == -(-vocab // 8)
        assert shortlist(found) == ids
    assert bitmap([0, 9], 16) == bytes([1, 2])


@pytest.fixture
def pair() -> tuple[Model, Model, Tensor]:
    """A model, its twin with a shortlist, and the tokens of that."""
    ids = torch.arange(0, CONFIG.vocab, 3)
    whole, few = model(), model()
    few.head = Head(few.embedding[ids], ids, CONFIG.vocab)
    return whole, few, ids


def test_model_with_a_shortlist_says_the_same_of_it(pair: tuple[Model, Model, Tensor]) -> None:
    whole, few, ids = pair
    text = torch.arange(20)[None]
    hidden = [one.encode(text, KVCache(CONFIG, dtype=torch.float32)) for one in (whole, few)]
    assert few.head is not None
    few.head.admit([1, 4], few.embedding)
    tokens = torch.tensor([*ids.tolist(), 1, 4])
    torch.testing.assert_close(few.logits(hidden[1]), whole.logits(hidden[0])[..., tokens])
    assert torch.equal(few.tokens(few.places(tokens)), tokens)
    assert int(few.places(torch.tensor([2]))) == -1


def test_soft_cap_holds_for_a_shortlist() -> None:
    made = model(replace(CONFIG, softcap=2.0))
    hidden = torch.randn(1, 4, CONFIG.dim)
    right = made.logits(hidden)[..., :100]
    made.head = Head(made.embedding[:100], torch.arange(100), CONFIG.vocab)
    torch.testing.assert_close(made.logits(hidden), right)
    assert float(right.abs().max()) <= 2.0


def test_signal_of_a_shortlist_is_its_tokens_embeddings(
    pair: tuple[Model, Model, Tensor],
) -> None:
    """Self-conditioning: the expected embedding, of those tokens that can be written."""
    whole, few, ids = pair
    assert few.head is not None
    few.head.admit([1, 4], few.embedding)
    tokens = torch.tensor([*ids.tolist(), 1, 4])
    probs = torch.rand(1, 5, len(tokens)).softmax(-1)
    every = torch.zeros(1, 5, CONFIG.vocab)
    every[..., tokens] = probs
    torch.testing.assert_close(few.soft_embed(probs), whole.soft_embed(every))
