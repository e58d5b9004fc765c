"""What drafting and judging from left to right takes is planned: measured against real fills."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest
import torch

from dgedit_engine.decode import search
from dgedit_engine.decode.canvas_drafts import ROWS, refined
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.left_to_right import fill
from dgedit_engine.memory import passes
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import Config, Sampling
from dgedit_engine.model.head import Head
from dgedit_engine.prompt.plain import around
from dgedit_engine.types import Hole
from peak import Peak
from small_base import BOS, CONFIG, leaning, model, reader, request, tokenizer

CONTEXT = 1024 + 2 * search.LONGEST


def planned(config: Config, rows: int, head: int | None) -> int:
    setting = passes.Setting(
        config, Decoding(candidates=rows), False, torch.float32, torch.float32, head=head
    )
    return passes.cached(setting, CONTEXT, "bf16") + passes.worked(setting, CONTEXT)


@pytest.mark.parametrize(
    ("rows", "head", "lines"),
    [(1, None, 40), (12, None, 399), (12, 300, 399), (24, None, 399), (12, 300, 3)],
)
def test_plan_holds_what_a_fill_takes(rows: int, head: int | None, lines: int) -> None:
    """Caches of two prompts and of all drafts, passes over them, and logits."""
    config = replace(CONFIG, context=CONTEXT)
    made = model(config, bias=leaning(tokenizer()))
    if head is not None:
        made.head = Head(made.embedding[:head], torch.arange(head), config.vocab)
    text = "".join(f"x{number} = total + {number}\n" for number in range(lines))
    asked = request(text + "y = ", Hole("a + b"), "\n" + text, strength=0.5)
    gc.collect()
    with Peak() as peak:
        opened = reader(made)
        generator = torch.Generator().manual_seed(0)
        steps = list(fill(opened, asked, Decoding(candidates=rows), generator))
    assert steps[-1].last
    plan = planned(config, rows, head)
    assert peak.most < plan
    if lines > 40:
        prompt = around(asked, 0, [], tokenizer(), bos=BOS, context=CONTEXT)
        assert len(prompt.ids) > 1000  # what is planned for is a full one
        assert plan < 16 * peak.most  # attention that keeps no scores is not counted on


def test_plan_holds_what_canvases_take() -> None:
    """Passes over all slots, and distributions over a large vocabulary."""
    config = replace(CONFIG, context=CONTEXT, vocab=200_000, conditioned=True)
    made = model(config)
    stands = around(request("a = ", Hole(), "\n"), 0, [], tokenizer(), bos=BOS, context=1024)
    prompt = [*range(20, 500)] * 2
    gc.collect()
    with Peak() as peak:
        cache = KVCache(config, dtype=torch.float32)
        given = {"rows": ROWS, "sampling": Sampling(), "generator": None}
        steps = refined(made, tokenizer(), cache, prompt, stands, **given)  # type: ignore[arg-type]
        next(steps)
        next(steps)
    setting = passes.Setting(config, Decoding(canvas=True), False, torch.float32, torch.float32)
    without = replace(setting, decoding=Decoding())
    plan = passes.cached(setting, CONTEXT, "bf16") + passes.worked(setting, CONTEXT)
    assert passes.worked(without, CONTEXT) < passes.worked(setting, CONTEXT)
    assert peak.most < plan < 4 * peak.most
