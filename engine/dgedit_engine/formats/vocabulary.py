"""Make the tokenizer that a GGUF file's header describes, equal to its tokenizer.json's.

Gemma's is a BPE over characters: spaces become "▁", there are no words, and a character without a
token is spelt in bytes. The header has the tokens in order, their types and, for Gemma 4, the
merges; for Gemma 3 it has each token's score instead, the negative of its rank, and a merge is any
two tokens that together are a third. What it leaves out is the same for every file of the kind.
Knows no text: `tokenizer.py` encodes. Tokenizers of bytes are `vocabulary_bytes.py`'s.

Sources: transformers 5.23, tokenization_gemma.py; llama.cpp's converter for Gemma 4, which wrote
the header, and its reader, by which a run of newlines that is a token is one whatever the merges
say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, normalizers
from tokenizers.models import BPE

from dgedit_engine.formats import vocabulary_bytes
from dgedit_engine.formats.gguf import header
from dgedit_engine.formats.source import named
from dgedit_engine.types import ModelError

KIND, SCORED = "gemma4", "llama"
"""The header's names for one with merges, and for one with scores (sentencepiece's BPE)."""

_KINDS = (KIND, SCORED, vocabulary_bytes.KIND)
_NORMAL, _CONTROL, _OWN = 1, 3, 4
# ggml's types of tokens: the second and third stand for themselves, the third also in text
_SPACE, _NEWLINE = "▁", "\n"
_CHARACTERS = 8_000_000  # of all tokens, which are cut at every place; Gemma's have 2 million
_TWIN = "\ufdd0"  # no character: no text has it, and so no merge makes a token with it


def read(file: Path) -> Tokenizer:
    """Read the tokenizer in a GGUF file. Raises ModelError, naming the file, where there is none
    that is known.
    """
    with named(file):
        return made(header(file)[0])


def made(fields: Mapping[str, Any]) -> Tokenizer:
    """Make the tokenizer of a header's fields. Raises ModelError for one of another kind, or
    damaged.
    """
    tokens, said = (fields.get(f"tokenizer.ggml.{name}", []) for name in ("tokens", "merges"))
    kind, types = fields.get("tokenizer.ggml.model"), _numbers(fields, "token_type")
    if not isinstance(said, list):
        raise ModelError("tokenizer.ggml.merges are no texts")
    if not isinstance(tokens, list) or sum(map(len, tokens)) > _CHARACTERS:
        raise ModelError("tokenizer.ggml.tokens are no vocabulary")
    if kind in _KINDS and len(types) != len(tokens):
        raise ModelError(f"{len(tokens)} tokens, but {len(types)} types")
    if kind == SCORED:
        merges = _merges(tokens, types, _numbers(fields, "scores"))
    else:
        merges = [_pair(merge) for merge in said]
    if kind == vocabulary_bytes.KIND:
        cut = fields.get("tokenizer.ggml.pre")
        return vocabulary_bytes.made(tokens, types, merges, cut=cut)
    if kind not in (KIND, SCORED) or not merges:
        what = f"a tokenizer {kind!r} with {len(merges)} merges, not one of {', '.join(_KINDS)}"
        raise ModelError(f"{what}: put the model's tokenizer.json beside the file")
    vocab = {token: place for place, token in enumerate(tokens)}
    # of two tokens of one text the last is it, as in llama.cpp; the other can still be decoded
    twins = {}
    if len(vocab) < len(tokens):
        twins = {f"{_TWIN}{i}": token for i, token in enumerate(tokens) if vocab[token] != i}
        vocab |= {name: int(name.removeprefix(_TWIN)) for name in twins}
    try:
        inner = BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    except Exception as error:  # the library raises bare Exception
        raise ModelError(f"merges that do not fit the tokens: {error}") from error
    tokenizer = Tokenizer(inner)
    tokenizer.normalizer = normalizers.Replace(" ", _SPACE)
    spelt = [decoders.Replace(name, token) for name, token in twins.items()]
    blank, whole = decoders.Replace(_SPACE, " "), decoders.Fuse()
    tokenizer.decoder = decoders.Sequence([*spelt, blank, decoders.ByteFallback(), whole])
    tokenizer.add_tokens(list(_added(tokens, types, text=kind == SCORED)))
    return tokenizer


def _numbers(fields: Mapping[str, Any], name: str) -> list[float]:
    """An array of the header's: of Python's numbers, since numpy's are slow to look at singly."""
    try:
        found = np.asarray(fields.get(f"tokenizer.ggml.{name}", []), np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise ModelError(f"tokenizer.ggml.{name}: {error}") from error
    numbers: list[float] = found.tolist()
    return numbers


def _merges(
    tokens: Sequence[str], types: Sequence[float], scores: Sequence[float]
) -> list[tuple[str, str]]:
    """List the merges of a vocabulary with scores: any two tokens that together are a third, the
    best third first; of one third's, the longest left part first, as transformers has them
    (`convert_slow_tokenizer.generate_merges`). Runs of one white space character are tokens of
    their own kind, which sentencepiece takes before all others.
    """
    if len(scores) != len(tokens):
        raise ModelError(f"{len(tokens)} tokens, but {len(scores)} scores")
    ranks = {
        token: -score if kind == _NORMAL else -math.inf
        for token, kind, score in zip(tokens, types, scores, strict=True)
        if kind == _NORMAL or (kind == _OWN and len(set(token)) == 1)
    }
    pairs: list[tuple[str, str]] = []
    worth: list[float] = []
    for token, rank in ranks.items():
        for cut in range(len(token) - 1, 0, -1):
            if (left := token[:cut]) in ranks and (right := token[cut:]) in ranks:
                pairs.append((left, right))
                worth.append(rank)
    lengths = [-len(left) for left, _ in pairs]
    # sorted in numpy: half a million keys take Python three times as long
    return [pairs[at] for at in np.lexsort((lengths, worth)).tolist()]


def _pair(merge: str) -> tuple[str, str]:
    """The two parts; no part has a space, but the first may begin with one."""
    place = merge.find(" ", 1)
    return merge[:place], merge[place + 1 :]


def _added(tokens: Sequence[str], types: Sequence[float], *, text: bool) -> Iterator[AddedToken]:
    """The tokens that are found before any merge: special ones, and runs of newlines, unless there
    are tokens of newlines and more. With `text`, those of the user's own are text whatever they
    look like: Gemma 3's are tags of HTML, where Gemma 4's mark a turn.
    """
    for token, kind in zip(tokens, types, strict=True):
        if kind in (_CONTROL, _OWN):
            marks = kind == _CONTROL or (not text and (token[:1], token[-1:]) == ("<", ">"))
            yield AddedToken(token, special=marks, normalized=False)
    lines = [token for token in tokens if _NEWLINE in token]
    if all(token == _NEWLINE * len(token) for token in lines):
        yield from (AddedToken(token, special=False, normalized=False) for token in lines)
