"""The loss of a big vocabulary without its logits in memory: they are computed some rows at a time.

The head is frozen, so that the gradient for the hidden states is known when the loss is: it is made
in the same pass and kept, N x D numbers instead of N x S.

Letters: N predictions, D width, S tokens of the head, K first tokens whose rows are trained.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dgedit_engine.model.model import Model
from dgedit_engine.train.adapter import SPECIALS
from dgedit_kernels.quantised import Quantised

_CHUNK = 1 << 24  # logits at a time on a CPU: 64 MiB in fp32
_DEVICE_CHUNK = 1 << 28  # on a GPU: 1 GiB


@dataclass(frozen=True, slots=True)
class Shortlist:
    """The head's rows of a shortlist of tokens."""

    ids: Tensor
    """(S,): which, in ascending order."""
    rows: Tensor
    """(S, D)."""
    places: Tensor
    """(V,): each token's place, -1 for one that has none."""

    @classmethod
    def of(cls, model: Model, tokens: Iterable[int]) -> Shortlist:
        """Take these tokens of a model, without those whose rows are all zeros: a reduced base
        (`train/travel.py`) lacks those rows. The first tokens, special ones, stay whatever theirs
        are. Raises ValueError for a model whose logits have a cap, which the losses here do not
        support.
        """
        if model.config.softcap is not None:
            raise ValueError("a base with a soft cap is not trained here")
        device, head = model.embedding.device, model.unembedding
        ids = torch.tensor(sorted(set(tokens)), device=device)
        assert isinstance(head, Tensor | Quantised), "trained before it is packed"
        rows = (head.detach() if isinstance(head, Tensor) else head.dequantised())[ids]
        kept = (ids < SPECIALS) | rows.any(-1)
        places = torch.full((model.config.vocab,), -1, device=device)
        places[ids[kept]] = torch.arange(int(kept.sum()), device=device)
        return cls(ids[kept], rows[kept].to(model.embedding.dtype).contiguous(), places)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of hidden (…, D) -> fp32 (…, S)."""
        return (hidden.to(self.rows.dtype) @ self.rows.T).float()


def head_loss(
    hidden: Tensor,
    rows: Tensor,
    head: Tensor,
    weight: Tensor,
    *,
    places: Tensor | None = None,
    teacher: Tensor | None = None,
    cap: float | None = None,
    chunk: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of losses in nats -> fp32 (), differentiable for `hidden` and `rows`;
    and each of them, (N,), which is not.

    hidden (N, D); head (S, D), to whose first K rows `rows` (K, D) are added; weight (N,). Either
    the cross-entropy of the tokens at `places` (N,), or the Kullback-Leibler divergence from the
    prediction of the hidden states `teacher` (N, D) through the head without `rows`. `cap` is the
    soft cap of the logits, for tokens alone; `chunk` is how many logits are there at a time.
    """
    assert (places is None) != (teacher is None), "tokens or a teacher"
    assert cap is None or teacher is None, "a cap, and a teacher"
    found: tuple[Tensor, Tensor] = _HeadLoss.apply(  # type: ignore[no-untyped-call]
        hidden, rows, head, weight, places, teacher, cap, chunk
    )
    return found


def losses(hidden: Tensor, rows: Tensor, head: Tensor, places: Tensor) -> Tensor:
    """Return the cross-entropies of the tokens at `places`, (N,) in nats, without gradients."""
    with torch.no_grad():
        one = torch.ones(len(hidden), device=hidden.device)
        return head_loss(hidden, rows, head, one, places=places)[1]


class _HeadLoss(torch.autograd.Function):
    """For logits z with softmax p, target t and weight w: `dz = w · (p - t)`, times `1 - (z / c)²`
    under a soft cap c.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        rows: Tensor,
        head: Tensor,
        weight: Tensor,
        places: Tensor | None,
        teacher: Tensor | None,
        cap: float | None,
        chunk: int | None,
    ) -> tuple[Tensor, Tensor]:
        narrow = hidden.to(head.dtype)
        d_hidden, d_rows = torch.empty_like(narrow), torch.zeros_like(rows, dtype=torch.float32)
        each = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        wanted = any(ctx.needs_input_grad[:2])
        most = chunk or (_DEVICE_CHUNK if hidden.is_cuda else _CHUNK)
        step, slope = max(1, most // len(head)), None
        for start in range(0, len(hidden), step):
            part = slice(start, start + step)
            own, count = narrow[part], weight[part].float()[:, None]
            logits = (own @ head.T).float()
            logits[:, : len(rows)] += own.float() @ rows.float().T
            if cap is not None:
                logits = logits.div_(cap).tanh_()
                slope = 1 - logits.square() if wanted else None
                logits *= cap
            log_p = logits.log_softmax(-1)
            del logits
            if places is not None:
                index = places[part][:, None]
                each[part] = -log_p.gather(-1, index)[:, 0]
            else:
                assert teacher is not None
                log_t = (teacher[part].to(head.dtype) @ head.T).float().log_softmax(-1)
                target = log_t.exp()
                each[part] = (target * (log_t - log_p)).sum(-1)
            if not wanted:
                continue
            d = log_p.exp_()
            if places is not None:
                d.scatter_add_(-1, index, -torch.ones_like(index, dtype=d.dtype))
            else:
                d -= target
            d *= count
            if slope is not None:
                d *= slope
            d_rows += d[:, : len(rows)].T @ own.float()
            d_hidden[part] = d.to(head.dtype) @ head
            d_hidden[part] += (d[:, : len(rows)] @ rows.float()).to(head.dtype)
        ctx.save_for_backward(d_hidden, d_rows)
        ctx.dtypes = hidden.dtype, rows.dtype
        ctx.mark_non_differentiable(each)
        return (each * weight.float()).sum(), each

    @staticmethod
    def backward(ctx: Any, given: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, d_rows = ctx.saved_tensors
        one, two = ctx.dtypes
        return (d_hidden * given).to(one), (d_rows * given).to(two), *(None,) * 6
