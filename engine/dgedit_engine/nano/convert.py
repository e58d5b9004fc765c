"""Convert nano's base to the form in which it is opened: bfloat16 in place of quantised blocks.

The published file has 4 to 8 bits a weight, in blocks that a CPU takes 13 seconds to widen. Widened
once, the layers are read in a tenth of a second, the embedding is mapped and never read whole, and
the rows of the head's shortlist lie together. Knows the formats, nothing of where files come from.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from dgedit_engine.formats import gguf, vocabulary
from dgedit_engine.model.config import load_config
from dgedit_engine.model.head import shortlist
from dgedit_engine.weights import adapters, checkpoint
from dgedit_engine.weights import shortlist as files


def convert(base: Path, tokens: bytes, out: Path, *, adapter: Path | None = None) -> None:
    """Convert the model of a GGUF file to the folder `out`: config.json, tokenizer.json, the
    weights in bfloat16, with an adapter's changes where one is given, and the head's shortlist of
    the tokens whose bits are set in `tokens`.

    Raises ModelError for a file that is no model, and for an adapter that does not fit it.
    """
    described = {"architectures": ["Gemma3ForCausalLM"], "dtype": "bfloat16"}
    described |= gguf.configuration(base)
    text = json.dumps(described, indent=2)
    (out / "config.json").write_text(text + "\n", encoding="utf-8")
    model = checkpoint.load(load_config(base), base, dtype=torch.bfloat16)
    if adapter is not None:
        adapters.merge(model, adapters.load(adapter))
    checkpoint.save(model, out)  # in shards: the embedding's alone stays mapped
    files.save(model.embedding, shortlist(tokens), out)
    vocabulary.read(base).save(str(out / "tokenizer.json"), pretty=False)
