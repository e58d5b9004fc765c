"""A tokenizer out of a header with scores reads as transformers' of the same vocabulary."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFWriter, TokenType
from tokenizers import AddedToken, Regex, pre_tokenizers, trainers
from tokenizers import Tokenizer as Inner
from tokenizers.models import BPE
from transformers.convert_slow_tokenizer import generate_merges
from transformers.models.gemma.tokenization_gemma import GemmaTokenizer

from dgedit_engine.formats import vocabulary
from dgedit_engine.types import ModelError

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<unused0>", "<start_of_turn>"]
LINES = ["\n" * count for count in range(1, 32)]
SPACES = ["▁" * count for count in range(2, 32)]
TAGS = ["[multimodal]", "<table>", "</b>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
TEXTS = (
    *("", " ", "  x", "\n", "\n" * 7, "a \n  b\n\n", "\t\r\n x", "▁a▁", " " * 31 + "x"),
    *("def f(x):\n    return x + 12345\n", "naïve café — “quoted” 東京 Ω", "\x00\x01\x7f"),
    *("👩‍👩‍👧 e\u0301 \u200b\u00a0", "<start_of_turn>user\n<eos><table>a</b>", "a" * 300),
)


@pytest.fixture(scope="module")
def tokens() -> list[str]:
    """A vocabulary in sentencepiece's order: what is defined, bytes, then by rank."""
    inner = Inner(BPE(unk_token="<unk>"))
    # as in Gemma's, no token has a run of spaces and more
    inner.pre_tokenizer = pre_tokenizers.Split(Regex("▁{2,}|\n"), "isolated")
    trainer = trainers.BpeTrainer(vocab_size=900, show_progress=False)
    folder = Path(__file__).parents[2]
    texts = [file.read_text().replace(" ", "▁") for file in sorted(folder.glob("*.py"))]
    inner.train_from_iterator(texts[:6], trainer)
    defined = [*SPECIAL, *LINES, *SPACES, *TAGS, *BYTES]
    learnt = [one for one, _ in sorted(inner.get_vocab().items(), key=lambda pair: pair[1])]
    learnt = [one for one in learnt if one not in defined]
    return [*defined, *sorted(learnt, key=lambda one: len(one) == 1)]  # characters last


def type_(token: str) -> TokenType:
    if token in SPECIAL:
        return TokenType.CONTROL
    if token in BYTES:
        return TokenType.BYTE
    return TokenType.USER_DEFINED if token in (*LINES, *SPACES, *TAGS) else TokenType.NORMAL


def scores(tokens: list[str]) -> list[float]:
    first = len(SPECIAL) + len(LINES) + len(SPACES) + len(TAGS) + len(BYTES)
    return [float(first - at) if at >= first else -1000.0 for at in range(len(tokens))]


def write(file: Path, tokens: list[str], **fields: Any) -> None:
    """A file of no weights with the fields of llama.cpp's converter, which writes the spaces of
    what is defined as such.
    """
    writer = GGUFWriter(file, "gemma3")
    said = {
        "tokens": [one.replace("▁", " ") if one in SPACES else one for one in tokens],
        "scores": scores(tokens),
        "token_type": [int(type_(one)) for one in tokens],
    }
    writer.add_tokenizer_model("llama")
    for name, values in (said | fields).items():
        if values is not None:
            writer.add_array(f"tokenizer.ggml.{name}", values)
    writer.add_tensor("x", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def original(tokens: list[str]) -> Inner:
    """What transformers makes of them; runs of white space go before all merges."""
    vocab = {token: place for place, token in enumerate(tokens)}
    worth = {
        token: 1.0 if token in (*LINES, *SPACES) else score
        for token, score in zip(tokens, scores(tokens), strict=True)
        if type_(token) == TokenType.NORMAL or token in (*LINES, *SPACES)
    }
    merges = generate_merges(vocab, worth, skip_tokens=[*SPECIAL, *TAGS, *BYTES])
    inner = GemmaTokenizer(vocab=vocab, merges=merges)._tokenizer
    inner.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL])
    plain = [*LINES, *SPACES, *TAGS]
    inner.add_tokens([AddedToken(token, special=False, normalized=False) for token in plain])
    return inner


@pytest.fixture(scope="module")
def found(tokens: list[str], tmp_path_factory: pytest.TempPathFactory) -> Inner:
    file = tmp_path_factory.mktemp("gguf") / "one.gguf"
    write(file, tokens)
    return vocabulary.read(file)


def texts() -> list[str]:
    """Those above, this repository's own, and code points of all lengths among white space."""
    rng = random.Random(0)
    made = [file.read_text() for file in sorted(Path(__file__).parent.glob("*.py"))]
    made = [text.replace("▁", "_") for text in made]  # beside spaces it is not read as theirs
    for _ in range(300):
        tops = [rng.choice((0x20, 0x7F, 0x7F, 0x7FF, 0xFFFF, 0x10FFFF)) for _ in range(30)]
        points = [rng.randrange(top + 1) for top in tops] + [10, 32, 32, 10, 10]
        rng.shuffle(points)
        made.append("".join(chr(point) for point in points if not 0xD800 <= point < 0xE000))
    return [*TEXTS, *made]


@pytest.mark.parametrize("plain", [True, False])
def test_texts_read_as_by_the_original(original: Inner, found: Inner, plain: bool) -> None:
    """Special tokens in a text as characters, as the engine does, and as themselves."""
    original.encode_special_tokens = found.encode_special_tokens = plain
    for text in texts():
        ids = original.encode(text, add_special_tokens=False).ids
        assert found.encode(text, add_special_tokens=False).ids == ids, repr(text)
        assert found.decode(ids, skip_special_tokens=False) == original.decode(
            ids, skip_special_tokens=False
        )


def test_best_score_is_merged_first(tokens: list[str], tmp_path: Path) -> None:
    more = [*tokens, "xq", "qz"]
    for first, right in ((0.5, ["xq", "z"]), (-900.5, ["x", "qz"])):
        write(tmp_path / "one.gguf", more, scores=[*scores(tokens), first, -900.0])
        made = vocabulary.read(tmp_path / "one.gguf")
        assert made.encode("xqz", add_special_tokens=False).tokens == right


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"scores": [0.0, 1.0]}, "tokens, but 2 scores"),
        ({"scores": None}, "tokens, but 0 scores"),
        ({"scores": ["a", "b"]}, "tokenizer.ggml.scores"),
        ({"token_type": [1, 1, 1]}, "tokens, but 3 types"),
        ({"token_type": ["a"]}, "tokenizer.ggml.token_type"),
    ],
)
def test_damage_is_named(
    tokens: list[str], tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    file = tmp_path / "one.gguf"
    write(file, tokens, **fields)
    with pytest.raises(ModelError) as caught:
        vocabulary.read(file)
    assert words in str(caught.value) and str(caught.value).count(str(file)) == 1


def test_large_vocabulary_is_read_fast(tmp_path: Path) -> None:
    """Gemma 3's has 262,144 tokens, and takes a second and a half; this one has an eighth."""
    import time

    rng = random.Random(0)
    parts = ["".join(rng.choices("abcdefgh", k=rng.randrange(1, 9))) for _ in range(32_000)]
    fields = {"tokens": list(dict.fromkeys([*SPECIAL, *"abcdefgh", *parts]))}
    count = len(fields["tokens"])
    more = {"scores": np.arange(count) * -1.0, "token_type": np.ones(count, np.int32)}
    said = {f"tokenizer.ggml.{name}": value for name, value in (fields | more).items()}
    start = time.process_time()
    made = vocabulary.made({"tokenizer.ggml.model": "llama", **said})
    assert time.process_time() - start < 1.5
    assert made.get_vocab_size() == count
