"""Drafts from the canvas: from noise to texts, what they may begin and end with, and the cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_engine.decode.canvas_drafts import STEPS, CanvasDrafts, refined
from dgedit_engine.decode.causal import encode
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.canvases import behind, restored
from dgedit_engine.model.config import Sampling
from dgedit_engine.model.head import Head
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.prompt.plain import Around, around
from dgedit_engine.types import Hole, ModelError
from small_base import BOS, CONFIG, EOS, VOCAB, request, tokenizer

WORDS = tokenizer()
BEFORE, BEHIND = "def f(a):\n    ", "\n    return total\n"
SAMPLING = Sampling(entropy_bound=0.1)


class Sure(Model):
    """A model that knows what stands in every slot, whatever it reads."""

    text: list[int] | None = None
    second: int | None = None

    def logits(self, hidden: Tensor) -> Tensor:
        if self.text is None or hidden.dim() != 3:
            return super().logits(hidden)
        found = torch.zeros(*hidden.shape[:2], len(self.places(torch.arange(VOCAB))))
        known = torch.tensor(self.text[: hidden.shape[1]])
        found = found.scatter(-1, known.expand(hidden.shape[0], -1)[..., None], 30.0)
        if self.second is not None:
            found[:, 0, self.second] = 20.0
        return found


def model(*, shifted: bool = True, text: str | None = None, over: bool = False) -> Sure:
    made = Sure(replace(CONFIG, conditioned=True))
    init_weights(made, seed=3)
    made.shifted = shifted
    if text is not None:
        ids = WORDS.encode(text) + [EOS] * over
        made.text = ids + WORDS.encode("\n\n\n\n") * 32
    return made.requires_grad_(False).eval()


def here(before: str = BEFORE, behind_it: str = BEHIND) -> Around:
    asked = request(before, Hole(), behind_it)
    return around(asked, 0, [], WORDS, bos=BOS, context=1024)


def cache_of(made: Model) -> KVCache:
    return KVCache(made.config, dtype=torch.float32)


def drafted(
    made: Model, stands: Around, *, seed: int = 0, **options: Any
) -> Iterator[CanvasDrafts]:
    generator = torch.Generator().manual_seed(seed)
    given = {"rows": 3, "slots": 24, "sampling": SAMPLING, "generator": generator} | options
    return refined(made, WORDS, cache_of(made), stands.ids, stands, **given)


@pytest.mark.parametrize("shifted", [False, True])
def test_certain_canvas_is_a_candidate_where_the_text_behind_begins(shifted: bool) -> None:
    made = model(shifted=shifted, text="total = a" + BEHIND)
    steps = list(drafted(made, here()))
    assert len(steps) < STEPS  # nothing changes any more
    for one in steps:
        assert one.texts[0] == "total = a" == one.draft.text
        assert one.texts.count("total = a") == 1
    assert steps[-1].draft.settled == (True,) * len(steps[-1].draft.pieces)
    assert min(steps[-1].draft.confidence) > 0.99


def test_first_step_reads_noise_and_keeps_its_surest_slots() -> None:
    made, stands = model(), here()
    first = next(drafted(made, stands, rows=1))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(VOCAB, (1, 24), generator=generator)
    cache = cache_of(made)
    prompt = stands.ids
    encode(made, cache, prompt[: behind(made, len(prompt))])
    last = torch.tensor(prompt[-1:])
    with torch.inference_mode():
        logits = made.logits(restored(made, noise[None], last, cache)[0])[0] / SAMPLING.t_max
    ids = logits.argmax(-1).tolist()
    over = ids.index(EOS) if EOS in ids else len(ids)
    said = "".join(piece.text for piece in WORDS.pieces(ids[:over]))
    assert first.draft.text.replace("\ufffd", "") in said.replace("\ufffd", "")
    kept = torch.tensor(first.draft.settled).sum()
    assert 0 < kept <= 24 // STEPS + 1


def test_later_steps_keep_more_and_the_last_all() -> None:
    steps = list(drafted(model(), here(), rows=2))
    assert len(steps) == STEPS
    assert all(steps[-1].draft.settled)
    assert not all(steps[0].draft.settled)


def test_same_seed_gives_the_same_and_another_does_not() -> None:
    made, stands = model(), here()
    one, two = (list(drafted(made, stands)) for _ in range(2))
    assert one == two != list(drafted(made, stands, seed=1))


def test_draft_begins_with_what_was_given_back() -> None:
    stands = here("total = ret", " total\n")
    assert stands.forced.endswith("ret")
    made = model(text=stands.forced + "urn" + stands.place.behind)
    assert list(drafted(made, stands))[-1].texts[0] == "urn"
    # even where the canvas is surer of something else
    assert made.text is not None
    made.second, made.text[0] = made.text[0], WORDS.encode("total")[0]
    assert list(drafted(made, stands))[-1].texts[0] == "urn"


def test_end_of_the_text_ends_the_draft() -> None:
    made, stands = model(text="total", over=True), here(BEFORE, "")
    given: dict[str, Any] = {"rows": 2, "sampling": SAMPLING, "generator": None}
    found = list(refined(made, WORDS, cache_of(made), stands.ids, stands, **given))[-1]
    assert found.draft.text == "total" and found.texts == ["total"]


def test_shortlist_is_all_that_is_noise_and_said() -> None:
    made, stands = model(), here()
    known = torch.tensor(sorted({*range(16), *WORDS.encode(BEFORE + BEHIND), *range(300, 330)}))
    made.head = Head(made.embedding[known].clone(), known, VOCAB)
    seen: list[Tensor] = []
    embed = made.embed

    def watched(ids: Tensor) -> Tensor:
        seen.append(ids)
        return embed(ids)

    made.embed = watched  # type: ignore[method-assign]
    list(drafted(made, stands))
    canvases = [ids for ids in seen if ids.shape[1] == 3 * 25]
    assert len(canvases) == STEPS
    assert all(set(ids.flatten().tolist()) <= set(known.tolist()) for ids in canvases)


@pytest.mark.parametrize("shifted", [False, True])
def test_cache_keeps_the_prompt_for_the_causal_reading(shifted: bool) -> None:
    made, stands = model(shifted=shifted), here()
    prompt, cache = stands.ids, cache_of(made)
    given: dict[str, Any] = {"rows": 2, "sampling": SAMPLING, "generator": None}
    steps = refined(made, WORDS, cache, prompt, stands, **given)
    next(steps)
    assert cache.ids == prompt[: behind(made, len(prompt))]
    before = made.forwards
    encode(made, cache, prompt)  # as whoever drafts from left to right does
    assert made.forwards - before == shifted
    next(steps)
    assert made.forwards - before == shifted + 1  # the prompt is not read again
    fresh = cache_of(made)
    encode(made, fresh, prompt)
    encode(made, cache, prompt)
    for mine, theirs in zip(cache.keys, fresh.keys, strict=True):
        mine, theirs = mine[:, :, : len(prompt)], theirs[:, :, : len(prompt)]
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_model_without_a_canvas_is_told() -> None:
    made = model()
    made.canvas = False
    with pytest.raises(ModelError, match="not taught to refine a canvas"):
        next(drafted(made, here()))


def test_logits_that_are_no_numbers_are_told() -> None:
    made = model()
    made.norm.fill_(torch.nan)
    with pytest.raises(ModelError, match="no finite numbers"):
        next(drafted(made, here()))
