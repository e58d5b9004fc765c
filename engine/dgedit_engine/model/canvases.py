"""Denoise several canvases side by side after one prompt, whichever token predicts a slot.

A slot's token is predicted at the slot itself; or at the token before it, where a base was trained
to predict the next token: then the prompt's last token is put before every canvas, and the base's
predictions keep their place. Knows no text and no noise.

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
    """Return how many of a prompt's tokens are in the cache that its canvases are read behind: all
    of them, or all but the last where the model is `shifted`.
    """
    return prompt - model.shifted


def restored(
    model: Model, ids: Tensor, last: Tensor, cache: Cache, soft: Tensor | None = None
) -> Tensor:
    """Denoise canvases of ids (B, K, C) -> hidden (B, K, C, D), each slot's that which predicts it.

    `cache` holds the first `behind` tokens of each prompt, `last` (B,) is the last one. `soft` (B,
    K, C, D) is the self-conditioning signal; None: none.
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
