"""The prompts of models that fill in the middle: marks, order, budgets, and whose text it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import AddedToken, decoders, normalizers
from tokenizers import Tokenizer as Inner
from tokenizers.models import BPE

from byte_base import SPECIAL, tokenizer
from dgedit_engine.prompt import fim
from dgedit_engine.prompt.fim import FAMILIES, FimMarks
from dgedit_engine.prompt.plain import TOKENS, Around, around
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Hole, InfillRequest, Passage
from small_base import request

BOS = 1
ORDER = {
    "qwen": "<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>",
    "starcoder": "<fim_prefix>P<fim_suffix>S<fim_middle>",
    "santacoder": "<fim-prefix>P<fim-suffix>S<fim-middle>",
    "deepseek": "BOS<｜fim▁begin｜>P<｜fim▁hole｜>S<｜fim▁end｜>",
    "seed": "BOS<[fim-suffix]>S<[fim-prefix]>P<[fim-middle]>",
    "codellama": "BOS▁<PRE>P▁<SUF>S▁<MID>",
}
"""As the authors' readmes write them."""


def words_of(family: str) -> Tokenizer:
    one = FAMILIES[family]
    named = dict.fromkeys((*SPECIAL, one.before, one.behind, one.middle, *one.ends))
    return tokenizer("smollm", tuple(named))


def found(asked: InfillRequest, words: Tokenizer, context: int = 4096) -> Around:
    return around(asked, 0, (), words, bos=BOS, context=context)


@pytest.mark.parametrize("family", FAMILIES)
def test_prompt_is_the_authors(family: str) -> None:
    words, names = words_of(family), FAMILIES[family]
    one = found(request("def f(a):\n    ret", Hole(), "\n\nb = 2\n"), words)
    marks = {words.id(name): name for name in (names.before, names.behind, names.middle)}
    parts = {
        **{token: f" {name} " for token, name in marks.items()},
        **({BOS: " BOS "} if names.begins else {}),
    }
    texts: list[str] = []
    run: list[int] = []
    for token in [*one.ids, None]:
        if token is None or token in parts:
            texts += ["".join(piece.text for piece in words.pieces(run))] if run else []
            texts += [] if token is None else [parts[token].strip()]
            run = []
        else:
            run.append(token)
    letters = {"def f(a):\n    ret": "P", "\n\nb = 2\n": "S"}
    assert "".join(letters.get(text, text) for text in texts) == ORDER[family]
    assert one.forced == "" and one.ends == tuple(words.id(name) for name in names.ends)
    assert (one.place.before, one.place.behind) == ("def f(a):\n    ret", "\n\nb = 2\n")


@pytest.mark.parametrize("family", ["qwen", "deepseek", "seed", "codellama"])
def test_marks_in_a_users_text_are_text(family: str, tmp_path: Path) -> None:
    """As released, where some of them are no special tokens of the file."""
    words, names = words_of(family), FAMILIES[family]
    inner = Inner.from_str(words._inner.to_str())
    inner.add_tokens([AddedToken(names.middle, special=False, normalized=False)])
    inner.save(str(tmp_path / "tokenizer.json"))
    again = Tokenizer(tmp_path / "tokenizer.json")
    text = f"x = '{names.before}{names.middle}{names.ends[0]}'\n"
    marks = fim.marks(again)
    assert isinstance(marks, FimMarks)
    ids = again.encode(text)
    assert not {marks.before, marks.behind, marks.middle, *marks.ends} & set(ids)
    assert "".join(piece.text for piece in again.pieces(ids)) == text
    assert again.pieces([marks.middle])[0].text == ""
    one = found(request(text, Hole(), text), again)
    assert one.ids.count(marks.middle) == one.ids.count(marks.before) == 1


def test_vocabulary_without_marks_has_none() -> None:
    assert fim.marks(tokenizer()) is None
    assert fim.marks(tokenizer("smollm", (*SPECIAL, "<|fim_prefix|>", "<|fim_middle|>"))) is None


@pytest.mark.parametrize("context", [40, 200, 4096])
def test_long_texts_lose_their_far_ends(context: int) -> None:
    words = words_of("qwen")
    lines = "".join(f"x{number} = y\n" for number in range(900))
    one = found(request(lines, Hole(), lines), words, context)
    assert 0.5 * min(context, TOKENS) < len(one.ids) <= min(context, TOKENS)
    said = "".join(piece.text for piece in words.pieces(one.ids))
    assert "x899 = y\nx0 = y\n" in said  # the marks between are no text


def test_other_files_and_words_stand_before() -> None:
    words = words_of("qwen")
    passages = (Passage("a.py", ("a = 1\n", Hole(), "\n")), Passage("near.py", ("near = 2\n",)))
    one = found(InfillRequest(passages, instruction="say it"), words)
    said = "".join(piece.text for piece in words.pieces(one.ids))
    assert said == "# near.py\nnear = 2\n\n\na = 1\n# say it\n\n"


def test_hole_in_nothing_is_marks_alone() -> None:
    words = words_of("qwen")
    one = found(request(Hole()), words)
    assert len(one.ids) == 3 and words.pieces(one.ids)[0].text == ""


def test_space_before_a_text_is_not_made_up(tmp_path: Path) -> None:
    """Llama 2's tokenizer, and so CodeLlama's, reads a text as a sentence's beginning."""
    letters = ["<unk>", "▁", "a", "b", "▁a", "<0x0A>"]
    inner = Inner(
        BPE(
            {one: place for place, one in enumerate(letters)},
            [("▁", "a")],
            unk_token="<unk>",
            byte_fallback=True,
        )
    )
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    spelt = decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()
    inner.decoder = decoders.Sequence([*spelt, decoders.Strip(" ", 1, 0)])
    assert inner.encode("ab").tokens == ["▁a", "b"]
    inner.save(str(tmp_path / "tokenizer.json"))
    words = Tokenizer(tmp_path / "tokenizer.json")
    assert words.encode("ab") == [2, 3] and words.encode(" a\n") == [4, 5]
    assert [piece.text for piece in words.pieces([4, 3, 1, 2])] == [" a", "b", " ", "a"]
