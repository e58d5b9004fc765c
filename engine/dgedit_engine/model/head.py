"""The output head: logits over all tokens, or over a shortlist of them, from the embedding's rows.

Two thirds of the weights of a small model with Gemma's vocabulary are its head, and four fifths of
that vocabulary are words that no program has. A head over the tokens that do occur, joined by those
of the text at hand, costs a fifth; a token in neither cannot be written. The choice among the
shortlist is exact: a softmax over fewer tokens keeps their order and their odds.

Knows matrices and ids, neither the model nor text.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dgedit_engine.model.products import Matrix, linear
from dgedit_kernels.packed import Packed
from dgedit_kernels.quantised import Quantised


@dataclass(slots=True)
class Head:
    """Logits from hidden states (…, D) over S tokens, and which tokens those are."""

    weight: Matrix
    """(S, D)."""
    ids: Tensor | None = None
    """(S,) int64: which tokens, in ascending order. None: all, in order."""
    vocab: int = 0
    """Tokens of the whole vocabulary, V; needed with `ids`."""
    _places: Tensor | None = None
    """(V,) int64: each token's place in the logits, -1 for one that has none."""
    _more: Tensor | None = None
    """(k, D): embedding rows of the tokens admitted beside the shortlist."""
    _admitted: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    """(k,) int64: those tokens."""

    def __post_init__(self) -> None:
        if self.ids is not None:
            self._place()

    @property
    def size(self) -> int:
        """How many tokens it has logits for, S + k."""
        return self.weight.shape[0] + len(self._admitted)

    def raw(self, hidden: Tensor) -> Tensor:
        """Return the logits before any soft cap: hidden (…, D) -> fp32 (…, S + k)."""
        found = linear(hidden, self.weight).float()
        if self._more is None:
            return found
        return torch.cat((found, linear(hidden, self._more).float()), -1)

    def tokens(self, places: Tensor) -> Tensor:
        """Return the tokens at places of the logits' last dimension."""
        if self.ids is None:
            return places
        return torch.cat((self.ids, self._admitted))[places]

    def places(self, tokens: Tensor) -> Tensor:
        """Return the tokens' places in the logits' last dimension; -1 for one that has none."""
        return tokens if self._places is None else self._places[tokens]

    def admit(self, tokens: Collection[int], embedding: Tensor) -> None:
        """Let these tokens be written too, instead of those admitted before; `embedding` (V, D) has
        their rows.
        """
        if self.ids is None:
            return
        assert self._places is not None
        wanted = torch.tensor(sorted(tokens), dtype=torch.int64)
        known = self._places[wanted]
        new = wanted[(known < 0) | (known >= len(self.ids))]
        if torch.equal(new, self._admitted):
            return
        self._places[self._admitted] = -1
        self._admitted = new
        self._more = embedding[new] if len(new) else None
        self._place()

    def look_up(self, tokens: Tensor, embedding: Tensor) -> Tensor:
        """Return the embedding's rows of tokens (…) -> (…, D), read from the head where it has
        them: `embedding` (V, D) may lie on a disk, and 99 of 100 tokens need not be fetched.
        """
        weight = self.weight.weight if isinstance(self.weight, Packed) else self.weight
        if self._places is None or not isinstance(weight, Tensor):
            return embedding[tokens]
        places = self._places[tokens]
        own = (places >= 0) & (places < len(weight))
        rows = weight[places.where(own, 0)]
        if not own.all():
            rows[~own] = embedding[tokens[~own]].to(rows.dtype)
        return rows

    def rows(self) -> Tensor:
        """Return the embedding's rows of all places, (S + k, D)."""
        weight = self._numbers
        return weight if self._more is None else torch.cat((weight, self._more.to(weight.dtype)))

    def expected(self, probs: Tensor) -> Tensor:
        """Return the mean of the rows, which are not copied, under probs (…, S + k) -> (…, D)."""
        weight, more = self._numbers, self._more
        found = probs[..., : len(weight)].to(weight.dtype) @ weight
        if more is None:
            return found
        return found + probs[..., len(weight) :].to(weight.dtype) @ more.to(weight.dtype)

    @property
    def _numbers(self) -> Tensor:
        """The rows of the shortlist, (S, D)."""
        weight = self.weight.weight if isinstance(self.weight, Packed) else self.weight
        return weight.dequantised() if isinstance(weight, Quantised) else weight

    def _place(self) -> None:
        assert self.ids is not None
        if self._places is None:
            self._places = torch.full((self.vocab,), -1, dtype=torch.int64)
            self._places[self.ids] = torch.arange(len(self.ids))
        beside = torch.arange(len(self._admitted)) + len(self.ids)
        self._places[self._admitted] = beside


def shortlist(bitmap: bytes) -> list[int]:
    """Return the ids whose bits are set in a bitmap of the vocabulary, the lowest bit of a byte
    first.
    """
    return [
        8 * place + bit for place, byte in enumerate(bitmap) for bit in range(8) if byte & 1 << bit
    ]


def bitmap(ids: Sequence[int], vocab: int) -> bytes:
    """Write ids as the bitmap that `shortlist` reads."""
    found = bytearray(-(-vocab // 8))
    for token in ids:
        found[token // 8] |= 1 << token % 8
    return bytes(found)
