"""A tokenizer out of a GGUF file's header reads as the one that it was written from."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFWriter, TokenType
from tokenizers import AddedToken, pre_tokenizers, trainers
from tokenizers import Tokenizer as Inner
from tokenizers.models import BPE
from transformers.models.gemma.tokenization_gemma import GemmaTokenizer

from dgedit_engine.formats import vocabulary
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import ModelError

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<|turn>", "<turn|>", "<|channel>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
LINES = ["\n" * count for count in (1, 2, 3)]
TEXTS = (
    *("", " ", "  x", "\n", "\n\n\n\n\n\n\n", "a \n  b\n\n", "\t\r\n x", "▁ ▁▁a▁"),
    *(
        "def f(x):\n    return x + 12345\n",
        "naïve café — “quoted” 東京 Ω",
        "👩‍👩‍👧 e\u0301 \u200b\u00a0",
    ),
    *("\x00\x01\x7f", "<|turn>user\n<eos><0x41>", "a" * 300, "\ufdd0262", "𝔘𝔫𝔦 🜁\U0010fffe"),
)


def trained() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A vocabulary and merges of this repository's own text, lines apart as in Gemma's."""
    inner = Inner(BPE(unk_token="<unk>", byte_fallback=True))
    inner.pre_tokenizer = pre_tokenizers.Split("\n", "isolated")
    first = [*SPECIAL, *BYTES, *LINES]
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=first, show_progress=False)
    texts = [file.read_text().replace(" ", "▁") for file in Path(__file__).parents[1].rglob("*.py")]
    inner.train_from_iterator(sorted(texts)[:6], trainer)
    merges = json.loads(inner.to_str())["model"]["merges"]
    return inner.get_vocab(), [(left, right) for left, right in merges]


@pytest.fixture(scope="module")
def parts() -> tuple[dict[str, int], list[tuple[str, str]]]:
    return trained()


@pytest.fixture(scope="module")
def original(parts: tuple[dict[str, int], list[tuple[str, str]]]) -> Inner:
    """What transformers makes of them, with the released file's added tokens."""
    vocab, merges = parts
    inner = GemmaTokenizer(vocab=vocab, merges=merges)._tokenizer
    inner.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL])
    inner.add_tokens([AddedToken(token, special=False, normalized=False) for token in LINES])
    return inner


def write(
    file: Path, tokens: list[str], merges: list[tuple[str, str]], *, kind: str = "gemma4"
) -> None:
    """A file of no weights whose header has the fields of llama.cpp's converter."""
    writer = GGUFWriter(file, "diffusion-gemma")
    types = [_type(token) for token in tokens]
    writer.add_tokenizer_model(kind)
    writer.add_token_list(tokens)
    writer.add_token_scores([-1000.0] * len(tokens))
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_add_space_prefix(False)
    writer.add_tensor("x", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _type(token: str) -> TokenType:
    if token in BYTES:
        return TokenType.BYTE
    if token == "<|channel>":  # which it marks to be shown
        return TokenType.USER_DEFINED
    return TokenType.CONTROL if token in SPECIAL else TokenType.NORMAL


def ordered(vocab: dict[str, int]) -> list[str]:
    return sorted(vocab, key=vocab.__getitem__)


@pytest.fixture(scope="module")
def found(parts: Any, tmp_path_factory: pytest.TempPathFactory) -> Inner:
    file = tmp_path_factory.mktemp("gguf") / "one.gguf"
    write(file, ordered(parts[0]), parts[1])
    return vocabulary.read(file)


def texts() -> list[str]:
    """Those above, and code points of all lengths, newlines and spaces among them."""
    rng = random.Random(0)
    made = []
    for _ in range(300):
        tops = [rng.choice((0x20, 0x7F, 0x7F, 0x7FF, 0xFFFF, 0x10FFFF)) for _ in range(30)]
        points = [rng.randrange(top + 1) for top in tops] + [10, 32, 32, 10, 10]
        rng.shuffle(points)
        made.append("".join(chr(point) for point in points if not 0xD800 <= point < 0xE000))
    return [*TEXTS, *made]


@pytest.mark.parametrize("plain", [True, False])
def test_texts_read_as_by_the_original(original: Inner, found: Inner, plain: bool) -> None:
    """Special tokens in a text as characters, as the engine does, and as themselves."""
    assert found.get_vocab() == original.get_vocab()
    original.encode_special_tokens = found.encode_special_tokens = plain
    for text in texts():
        ids = original.encode(text, add_special_tokens=False).ids
        assert found.encode(text, add_special_tokens=False).ids == ids, repr(text)
        for skip in (True, False):
            assert found.decode(ids, skip_special_tokens=skip) == original.decode(
                ids, skip_special_tokens=skip
            )


def test_texts_come_back(found: Inner) -> None:
    """But for the character that stands for spaces."""
    tokenizer = Tokenizer(found)
    for text in texts():
        pieces = tokenizer.pieces(tokenizer.encode(text))
        right = text.replace("▁", " ")
        assert "".join(piece.text for piece in pieces) == right or "\ufffd" in right
    assert tokenizer.id("<|turn>") == 5 and len(tokenizer) == found.get_vocab_size()


def test_any_ids_are_decoded_as_by_the_original(original: Inner, found: Inner) -> None:
    rng = random.Random(1)
    for _ in range(300):
        ids = [rng.randrange(len(original.get_vocab())) for _ in range(20)]
        assert found.decode(ids) == original.decode(ids)


def test_token_that_is_there_twice_is_the_last_and_both_decode(parts: Any, tmp_path: Path) -> None:
    tokens = ordered(parts[0])
    first, text = parts[0]["file"], "file"
    write(tmp_path / "one.gguf", [*tokens, tokens[first]], parts[1])
    made = vocabulary.read(tmp_path / "one.gguf")
    assert made.encode(text).ids == [len(tokens)]
    assert made.decode([first]) == made.decode([len(tokens)]) == text
    assert made.get_vocab_size() == len(tokens) + 1


def test_newlines_are_merged_where_tokens_have_more_than_them(parts: Any, tmp_path: Path) -> None:
    vocab, merges = parts
    tokens = [*ordered(vocab), "\n▁"]
    write(tmp_path / "one.gguf", tokens, [("\n", "▁"), *merges])
    made = vocabulary.read(tmp_path / "one.gguf")
    assert made.encode("\n\n ").ids == [vocab["\n"], len(tokens) - 1]


def refused(file: Path) -> str:
    with pytest.raises(ModelError) as caught:
        vocabulary.read(file)
    words = str(caught.value)
    assert "\n" not in words and words.count(str(file)) == 1
    return words


def test_what_is_no_gemma_tokenizer_is_named(parts: Any, tmp_path: Path) -> None:
    vocab, merges = parts
    file = tmp_path / "one.gguf"
    write(file, ordered(vocab), merges, kind="bert")
    assert "a tokenizer 'bert'" in refused(file) and "tokenizer.json" in refused(file)
    write(file, ordered(vocab), [("zz", "qq")])
    assert "merges that do not fit" in refused(file)
