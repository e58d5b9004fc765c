"""The model whose causal reading ranks finished infills and confirms their tokens.

It is the one that wrote them, or a second one of the same vocabulary: a verifier. Knows ids alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dgedit_engine.decode.causal import encode
from dgedit_engine.model.cache import PromptCache
from dgedit_engine.model.model import Model


@dataclass(frozen=True, slots=True)
class Judge:
    """An open model, and what it has read."""

    model: Model
    """The model."""
    cache: PromptCache
    """The prompt's keys and values, by its own weights."""

    def begin(self, prompt: Sequence[int]) -> None:
        """Make the cache hold a prompt but for its last token, which is read anew; what it holds of
        it already is not read again.
        """
        last = len(prompt) - 1
        if self.cache.match(prompt) < last:
            encode(self.model, self.cache, prompt)
        self.cache.truncate(last)
