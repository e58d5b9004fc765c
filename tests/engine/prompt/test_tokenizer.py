"""Text to ids and back with tiny's vocabulary."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import tokenizers
from tokenizers.models import BPE

from dgedit_engine.nano.names import TINY
from dgedit_engine.prompt.layout import HOLES, SPECIALS
from dgedit_engine.prompt.tokenizer import Tokenizer, TokenPiece
from dgedit_engine.types import ModelError

TEXTS = (
    "",
    " ",
    "\n\n\t  \r\n",
    "def home():\n    return os.getcwd()\n",
    "naïve café — “quoted” … 東京 Ω",
    "👩‍👩‍👧 🇪🇪 e\u0301 \u200b\u00a0",
    "\x00\x01\x7f",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 🜁\U0010fffe",
    "a" * 1000,
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(TINY / "tokenizer.json")


def spelt(tokenizer: Tokenizer, ids: list[int]) -> str:
    return "".join(piece.text for piece in tokenizer.pieces(ids))


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back_from_its_pieces(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    pieces = tokenizer.pieces(ids)
    assert "".join(piece.text for piece in pieces) == text
    assert sum(piece.tokens for piece in pieces) == len(ids)


def test_any_text_comes_back_from_its_pieces(tokenizer: Tokenizer) -> None:
    """All code points but surrogates and U+FFFD, which stands for broken bytes."""
    rng = random.Random(0)
    for _ in range(200):
        tops = [rng.choice((0x7F, 0x7FF, 0xFFFF, 0x10FFFF)) for _ in range(rng.randrange(40))]
        points = [rng.randrange(top + 1) for top in tops]
        text = "".join(chr(p) for p in points if not 0xD800 <= p < 0xE000 and p != 0xFFFD)
        assert spelt(tokenizer, tokenizer.encode(text)) == text


@pytest.mark.parametrize(("text", "tokens"), [("é", 2), ("😀", 4), ("東", 3)])
def test_character_of_several_tokens_is_one_piece(
    tokenizer: Tokenizer, text: str, tokens: int
) -> None:
    ids = tokenizer.encode(f"x{text}y")
    assert tokenizer.pieces(ids) == [
        TokenPiece("x", 1),
        TokenPiece(text, tokens),
        TokenPiece("y", 1),
    ]


def test_special_names_in_a_text_stay_text(tokenizer: Tokenizer) -> None:
    text = "".join(SPECIALS)
    ids = tokenizer.encode(text)
    assert min(ids) >= len(SPECIALS)
    assert spelt(tokenizer, ids) == text


def test_special_ids_say_nothing(tokenizer: Tokenizer) -> None:
    ids = [*range(len(SPECIALS))]
    assert tokenizer.pieces(ids) == [TokenPiece("", 1)] * len(SPECIALS)
    assert [tokenizer.id(name) for name in SPECIALS] == ids
    inside = [*tokenizer.encode("a"), HOLES[0], *tokenizer.encode("b")]
    assert spelt(tokenizer, inside) == "ab"


def test_broken_bytes_show_as_such(tokenizer: Tokenizer) -> None:
    smile, letter = tokenizer.encode("😀"), tokenizer.encode("x")
    assert len(smile) == 4
    assert set(spelt(tokenizer, smile[:2])) == {"\ufffd"}
    assert set(spelt(tokenizer, smile[1:])) == {"\ufffd"}
    found = tokenizer.pieces([*smile[:3], *letter, *smile])
    assert found[-2:] == [TokenPiece("x", 1), TokenPiece("😀", 4)]
    assert sum(piece.tokens for piece in found) == 8
    assert {piece.text for piece in found[:-2]} == {"\ufffd"}


def test_any_ids_have_pieces_for_all_of_them(tokenizer: Tokenizer) -> None:
    """Noise may spell anything; every token belongs to exactly one piece."""
    rng = random.Random(0)
    for _ in range(50):
        ids = [rng.randrange(len(tokenizer)) for _ in range(64)]
        pieces = tokenizer.pieces(ids)
        assert sum(piece.tokens for piece in pieces) == 64
        assert all(1 <= piece.tokens <= 4 for piece in pieces)


def test_unknown_name_has_no_id(tokenizer: Tokenizer) -> None:
    assert tokenizer.id("<|no such token|>") is None
    assert len(tokenizer) == 4096


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json does not exist"):
        Tokenizer(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("data", [b"", b"{}", b'{"model": 3}', b"\xff\xfe\x00", b"[1, 2"])
def test_corrupt_file_is_named(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        Tokenizer(file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_encoding_by_lines_is_the_same_and_remembers(tokenizer: Tokenizer) -> None:
    texts = [*TEXTS, Path(__file__).read_text(), "\n", "\n\n  \n", "a\n\n\tb\n", "\u2028\n 😀\r\nx"]
    for text in texts * 2:
        assert tokenizer.encode_lines(text) == tokenizer.encode(text)


PUBLISHED = (
    # GPT-2, Llama 3, o200k, DeepSeek-V3, BLOOM
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+""",
    r" ?[^(\s|[.,!?…。，、।۔،])]+",
)
ENDLESS = (
    *(r"(a+)+b|.", r"(?:a|aa)+$b", r"a+*b", r"a{1,2}+b", r"(a){2,}", r"((a+)?)*", r"(a)\1+"),
    *(r"(?<n>a|b\g<n>c)", "(?x: (a+) # c\n+)", r"a*a*a*a*a*b", r"(a*|x)(a*|x)(a*|x)(a*|x)(a*|x)b"),
)


def splitting(expression: str, path: Path) -> Path:
    """A tokenizer.json that cuts texts by an expression."""
    made = tokenizers.Tokenizer(BPE({"a": 0, "b": 1}, []))
    raw = json.loads(made.to_str())
    split = {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated"}
    raw["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{**split, "invert": False}]}
    path.write_text(json.dumps(raw))
    return path


@pytest.mark.parametrize("expression", PUBLISHED)
def test_published_expressions_are_run(expression: str, tmp_path: Path) -> None:
    assert len(Tokenizer(splitting(expression, tmp_path / "t.json"))) == 2


@pytest.mark.parametrize("expression", ENDLESS)
def test_fault_15_expression_that_may_not_end_is_refused_in_a_line(
    expression: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"t\.json: .*may take for ever") as caught:
        Tokenizer(splitting(expression, tmp_path / "t.json"))
    assert "\n" not in str(caught.value)


def test_fault_15_library_that_gives_up_is_a_models_error(tmp_path: Path) -> None:
    """An expression that is let through, made to go on by a long text."""
    tokenizer = Tokenizer(splitting(r"a*a*a*a*[bc]|x", tmp_path / "t.json"))
    text = "a" * 400 + "-b"
    for encode in (tokenizer.encode, tokenizer.encode_lines):
        with pytest.raises(ModelError, match=r"the tokenizer fails: .*retry-limit"):
            encode(text)
    with pytest.raises(ModelError, match=r"the tokenizer fails: .*retry-limit"):
        tokenizer.encode_all([text])


def test_library_that_lacks_a_token_is_a_models_error(tmp_path: Path) -> None:
    made = tokenizers.Tokenizer(BPE({"a": 0}, [], unk_token="<unk>"))
    made.save(str(tmp_path / "t.json"))
    tokenizer = Tokenizer(tmp_path / "t.json")
    assert tokenizer.encode("a") == [0]
    with pytest.raises(ModelError, match="the tokenizer fails: Unk token"):
        tokenizer.encode("b")


def test_fault_18_tokenizer_that_git_lfs_left_out_is_told(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 33\n"
    )
    with pytest.raises(ModelError, match="is a git-lfs pointer, not the file: git lfs pull"):
        Tokenizer(tmp_path / "tokenizer.json")
