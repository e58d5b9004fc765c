"""`python -m dgedit_engine.eval.verified`: count the tokens that a pass gives when texts are exact.

On held-out spans the causal reading writes the likeliest token after token, once with a pass for
each (block 1), products as wide as the others', and once with guesses verified; says how many
tokens a pass gave, the seconds, and in how many spans the text is the same, token for token. Block
0 is the way of other drafts, a pass a token too, which on a CPU may use a small model's int8 codes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.drafting import drafted
from dgedit_engine.decode.pool import Pool, Reader, begin
from dgedit_engine.decode.verified import BLOCK, VerifiedReader, copied
from dgedit_engine.engine import Engine
from dgedit_engine.eval.command import Opened, parser_of, run
from dgedit_engine.eval.tasks import Task, draw

TOKENS = 48
"""Tokens that are written for each span."""


@dataclass(frozen=True, slots=True)
class SpanPasses:
    """A span's text, written exactly."""

    ids: list[int]
    """Its tokens."""
    passes: int
    """Passes that they took."""
    seconds: float
    """Their time, the prompt's not counted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print; returns the exit code."""
    parser = parser_of("verified", str(__doc__), drawn="spans")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="written for each")
    parser.add_argument("--block", type=int, nargs="*", default=[0, BLOCK], help="tokens of a pass")
    return run(parser, arguments, _work)


def _work(
    options: argparse.Namespace, opened: Opened
) -> tuple[Engine, list[Task], list[dict[str, Any]]]:
    engine, corpus = opened()
    tasks = draw(corpus, limit=options.spans, seed=options.seed)[: options.spans]
    return engine, tasks, measured(engine, tasks, blocks=options.block, tokens=options.tokens)


def measured(
    engine: Engine, tasks: Sequence[Task], *, blocks: Sequence[int], tokens: int
) -> list[dict[str, Any]]:
    """Return, for a pass a token and for each of the blocks, tokens a pass, seconds a token, and in
    how many spans the text is the first's.
    """
    reader = Reader(engine.model, engine.tokenizer, engine.cache)
    each: dict[int, list[SpanPasses]] = {block: [] for block in dict.fromkeys((1, *blocks))}
    for task in tasks:
        request = task.request(seed=0, effort=0.5, steps=None)
        for block, found in each.items():
            pool = begin(reader, request, 0, [])
            found.append(written(pool, block=block, tokens=tokens, wide=max(BLOCK, *each)))
    rows = []
    for block, found in each.items():
        count = sum(len(one.ids) for one in found)
        same = sum(one.ids == first.ids for one, first in zip(found, each[1], strict=True))
        passes, seconds = sum(one.passes for one in found), sum(one.seconds for one in found)
        rows.append(
            {
                "block": block,
                "tokens": count,
                "passes": passes,
                "tokens a pass": round(count / max(1, passes), 2),
                "ms a token": round(1000 * seconds / max(1, count), 1),
                "same": f"{same} of {len(found)}",
            }
        )
    return rows


def written(pool: Pool, *, block: int, tokens: int, wide: int) -> SpanPasses:
    """Write the likeliest tokens behind a hole's prompt, products of so many rows."""
    reader, here = pool.reader, pool.around
    encode(reader.model, reader.cache, here.ids)
    guess = partial(copied, beside=reader.tokenizer.encode(here.place.present))
    exact = VerifiedReader(reader.model, reader.cache, here.ids, guess, block=block, rows=wide)
    start, before, ids = time.perf_counter(), reader.model.forwards, list[int]()
    for rows in drafted(
        *(reader.model, reader.cache, here.ids),
        rows=1,
        longest=tokens,
        forced=here.forced,
        beginnings=reader.tokenizer.beginning,
        text_of=lambda token: reader.tokenizer.pieces([token])[0].text,
        ends=here.ends,
        read=exact.read if block else None,
    ):
        ids = list(rows[0].ids)
    passes = reader.model.forwards - before
    return SpanPasses(ids, passes, time.perf_counter() - start)


if __name__ == "__main__":
    sys.exit(main())
