"""What the tokenizer may and may not do with text."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from dgedit_engine.prompt.layout import BOS, EOS, HOLES, PAD, SPECIALS
from dgedit_engine.train import corpus, spans, vocabulary
from dgedit_engine.train.vocabulary import learn, load, save

SIZE = 600


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    texts = [inspect.getsource(module) for module in (corpus, spans, vocabulary)]
    texts += ["\n".join(text.split("\n")[9:]) for text in texts]
    path: Path = tmp_path_factory.mktemp("vocabulary") / "tokenizer.json"
    save(learn(texts, SIZE), path)
    return load(path)


def test_learn_puts_the_special_tokens_first(tokenizer: Tokenizer) -> None:
    assert tokenizer.get_vocab_size() == SIZE
    assert [tokenizer.id_to_token(index) for index in range(len(SPECIALS))] == list(SPECIALS)
    assert [tokenizer.token_to_id(name) for name in ("<pad>", "<eos>", "<bos>")] == [PAD, EOS, BOS]
    assert tokenizer.token_to_id("<|hole7|>") == HOLES[7]


def test_load_never_reads_a_special_token_out_of_text(tokenizer: Tokenizer) -> None:
    text = " ".join(SPECIALS) + "".join(SPECIALS) + "".join(f"\n{name}x" for name in SPECIALS)
    ids = tokenizer.encode(text).ids
    assert min(ids) >= len(SPECIALS)
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\n\n",
        "\t\tx = 1\r\n\ty\r z",
        "naïve = 'ça' + \"😀👩‍👩‍👧 \u200b\u2028\x00\x0c\"  \n",
        "日本語 = ٣ + Ⅷ\u0301",
        "".join(map(chr, range(1, 0x500))),
    ],
)
def test_decode_gives_back_any_text(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_digits_are_single(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode("x = 12345 + 3.14 + a10").tokens
    assert all(sum(map(str.isdigit, token)) <= 1 for token in tokens)


def test_no_token_crosses_a_line(tokenizer: Tokenizer) -> None:
    assert all(token.rfind("Ċ") <= 0 for token in tokenizer.get_vocab())


def test_a_newline_and_its_indentation_are_one_token(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode("\n        ").ids) == 1
    assert tokenizer.encode("    return").tokens[0] == "Ġ" * 4
