"""Make the byte-level BPE of Llama 3, Qwen or SmolLM that a GGUF file's header describes.

Tokens are runs of bytes, spelt in GPT-2's alphabet, merged within pieces that a regular expression
cuts out of the text. The header has tokens, types and merges; of the expression it has llama.cpp's
name alone. Those known here are the published tokenizer.json's, to which llama.cpp's converter
gives that name. Knows no text: `tokenizer.py` encodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE

from dgedit_engine.types import ModelError

KIND = "gpt2"
"""The header's name for a byte-level BPE."""

_CONTROL, _OWN = 3, 4  # ggml's types of tokens that stand for themselves
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}"
    r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DEEPSEEK = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+")

Cutter = pre_tokenizers.PreTokenizer


def _gpt2() -> Cutter:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def _digits() -> Cutter:
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _gpt2()])


def _words(digits: str) -> Cutter:
    return _split(_WORDS.format(digits=digits))


def _deepseek() -> Cutter:
    return _split(*_DEEPSEEK, digits=True)


def _split(*expressions: str, digits: bool = False) -> Cutter:
    parts: list[Cutter] = [pre_tokenizers.Split(Regex(one), "isolated") for one in expressions]
    parts += [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    return pre_tokenizers.Sequence(
        [*parts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


_CUTTERS: dict[str, Callable[[], Cutter]] = {
    "gpt-2": _gpt2,
    **dict.fromkeys(("smollm", "starcoder", "refact"), _digits),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen"), lambda: _words("")),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3"), lambda: _words("{1,3}")),
    "deepseek-coder": _deepseek,
}
"""By llama.cpp's names."""
_COMPOSED = ("qwen2", "deepseek-r1-qwen")  # text is in NFC before it is cut
_WHOLE_FIRST = ("llama-bpe", "llama3", "llama-v3")  # a piece that is a token is it, without merges


def made(
    tokens: Sequence[str],
    types: Sequence[float],
    merges: Sequence[tuple[str, str]],
    *,
    cut: object,
) -> Tokenizer:
    """Make the tokenizer; `cut` is llama.cpp's name of how text is cut. Raises ModelError for one
    that is not known, and for a damaged vocabulary.
    """
    if not isinstance(cut, str) or cut not in _CUTTERS:
        known = ", ".join(_CUTTERS)
        what = f"text cut as {cut!r}, not as one of {known}"
        raise ModelError(f"{what}: put the model's tokenizer.json beside the file")
    vocab = {token: place for place, token in enumerate(tokens)}
    if len(vocab) < len(tokens) or not merges:
        raise ModelError(f"{len(vocab)} of {len(tokens)} tokens differ, with {len(merges)} merges")
    try:
        inner = BPE(vocab, list(merges), ignore_merges=cut in _WHOLE_FIRST)
    except Exception as error:  # the library raises bare Exception
        raise ModelError(f"merges that do not fit the tokens: {error}") from error
    tokenizer = Tokenizer(inner)
    if cut in _COMPOSED:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = _CUTTERS[cut]()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(
        [
            AddedToken(token, special=kind == _CONTROL, normalized=False)
            for token, kind in zip(tokens, types, strict=True)
            if kind in (_CONTROL, _OWN) and token
        ]
    )
    return tokenizer
