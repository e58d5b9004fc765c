"""Canvases side by side behind one prompt, and where it is read what stands in a slot.

At the slot, or at the token before it, where a base was trained to say what comes next: then the
prompt's last token leads every canvas, and a slot's prediction needs no new meaning of its place.
Knows no text and no noise.

Letters as in `model.py`; K canvases of C slots.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_engine.model.cache import Cache
from dgedit_engine.model.masks import side_by_side
from dgedit_engine.model.model import Model


def behind(model: Model, prompt: int) -> int:
    """How many of the tokens of a prompt are in the cache that its canvases are read behind."""
    return prompt - model.shifted


def restored(
    model: Model, ids: Tensor, last: Tensor, cache: Cache, soft: Tensor | None = None
) -> Tensor:
    """What canvases of ids (B, K, C) say of their own slots -> hidden (B, K, C, D).

    `cache` holds the first `behind` tokens of each prompt, `last` (B,) is the last one. `soft`
    (B, K, C, D) is the self-conditioning signal; None: none.
    """
    batch, count, slots = ids.shape
    lead = int(model.shifted)
    if lead:
        ids = torch.cat((last[:, None, None].expand(-1, count, 1), ids), 2)
        soft = None if soft is None else F.pad(soft, (0, 0, lead, 0))  # zeros are no signal
    beside = None if count == 1 else side_by_side([lead + slots] * count, ids.device)
    flat = None if soft is None else soft.flatten(1, 2)
    hidden = model.denoise(ids.flatten(1), cache, flat, beside=beside)
    return hidden.view(batch, count, lead + slots, -1)[:, :, :slots]
