"""The two prompts: tiny's markers and Gemma's turns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from byte_level import CHAT, byte_level
from dgedit_engine.nano.names import TINY
from dgedit_engine.prompt.layout import BOS
from dgedit_engine.prompt.prompt import CHAT_TOKENS, PROMPT_TOKENS, build
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Hole, InfillRequest, ModelError, Passage

CODE = "".join(f"def step_{n}(value):\n    return value + {n} * 2\n\n\n" for n in range(200))


@pytest.fixture(scope="module")
def tiny() -> Tokenizer:
    return Tokenizer(TINY / "tokenizer.json")


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return byte_level(tmp_path_factory.mktemp("gemma"), CHAT)


def shown(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    text: str = tokenizer._inner.decode(list(ids), skip_special_tokens=False)
    return text


def request(*parts: str | Hole, path: str = "", instruction: str = "") -> InfillRequest:
    return InfillRequest((Passage(path, parts),), instruction=instruction)


def common(one: Sequence[int], two: Sequence[int]) -> int:
    """The length of the common prefix."""
    pairs = enumerate(zip(one, two, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(two)))


def test_one_hole_has_what_follows_before_what_leads_to_it(tiny: Tokenizer) -> None:
    made = build(request("a = 1\n", Hole("b"), "\nc = 3"), tiny, context=4096)
    assert shown(tiny, made.ids) == "<bos><|suf|>\nc = 3<|pre|>a = 1\n"
    assert made.holes == (tiny.encode("b"),)
    assert made.markers == ([],) and made.closing is None


def test_several_holes_have_markers_in_the_prompt_and_on_the_canvas(tiny: Tokenizer) -> None:
    made = build(request("a", Hole(), "b", Hole("x"), "c", Hole(), "d"), tiny, context=4096)
    expected = "<bos><|pre|>a<|hole0|>b<|hole1|>c<|hole2|>d<|mid|>"
    assert shown(tiny, made.ids) == expected
    assert made.holes == ([], tiny.encode("x"), [])
    assert made.markers == ([], [tiny.id("<|hole1|>")], [tiny.id("<|hole2|>")])


def test_several_files_are_announced(tiny: Tokenizer) -> None:
    passages = (
        Passage("src/one.py", ("a", Hole(), "b")),
        Passage("two.py", ("c", Hole(), "d")),
        Passage("three.py", ("e",)),
    )
    made = build(InfillRequest(passages), tiny, context=4096)
    expected = (
        "<bos><|file|>one.py<|pre|>a<|hole0|>b<|file|>two.pyc<|hole1|>d<|file|>three.pye<|mid|>"
    )
    assert shown(tiny, made.ids) == expected
    assert len(made.holes) == 2


def test_path_and_instruction_stand_first(tiny: Tokenizer) -> None:
    asked = request("a", Hole(), "b", path="lib/x.py", instruction="Add it.")
    made = build(asked, tiny, context=4096)
    assert shown(tiny, made.ids) == "<bos><|file|>x.py<|note|>Add it.<|suf|>b<|pre|>a"


def test_markers_in_a_file_stay_text(tiny: Tokenizer) -> None:
    made = build(request("<|suf|><eos>", Hole("<|hole1|>"), "<bos>"), tiny, context=4096)
    assert sum(id < 16 for id in made.ids) == 3  # begin, suffix, prefix
    assert min(made.holes[0]) >= 16


@pytest.mark.parametrize("holes", [1, 2, 8])
def test_prompt_keeps_to_the_budget_and_what_is_near_the_holes(tiny: Tokenizer, holes: int) -> None:
    parts: list[str | Hole] = [CODE + "near the first"]
    for _ in range(holes - 1):
        parts += [Hole(), " between "]
    made = build(request(*parts, Hole(), "near the last" + CODE), tiny, context=10**6)
    text = shown(tiny, made.ids)
    assert PROMPT_TOKENS - 128 <= len(made.ids) <= PROMPT_TOKENS
    assert "near the first" in text and "near the last" in text
    assert text.count(" between ") == holes - 1
    assert len(build(request(*parts, Hole(), CODE), tiny, context=300).ids) <= 300


def test_more_holes_than_markers_are_refused(tiny: Tokenizer) -> None:
    with pytest.raises(ValueError, match="9 holes"):
        build(request(*["a", Hole()] * 9), tiny, context=4096)


def test_text_between_holes_that_does_not_fit_loses_its_middle(tiny: Tokenizer) -> None:
    made = build(request("a\n", Hole(), CODE, Hole(), "\nb"), tiny, context=4096)
    assert 512 <= len(made.ids) <= PROMPT_TOKENS
    text = shown(tiny, made.ids)
    assert text.startswith("<bos><|pre|>a\n<|hole0|>def step_0(value)")
    assert text.endswith("value + 199 * 2\n\n\n<|hole1|>\nb<|mid|>")
    assert "step_100(" not in text


def test_long_files_with_a_hole_each_keep_what_is_near_the_holes(tiny: Tokenizer) -> None:
    passages = tuple(
        Passage(f"{name}.py", (CODE, f"# {name} before\n", Hole(), f"\n# {name} behind\n", CODE))
        for name in ("one", "two", "three")
    )
    made = build(InfillRequest(passages), tiny, context=4096)
    assert len(made.ids) <= PROMPT_TOKENS and len(made.holes) == 3
    text = shown(tiny, made.ids)
    for name, hole in (("one", "<|hole0|>"), ("two", "<|hole1|>"), ("three", "<|hole2|>")):
        assert f"<|file|>{name}.py" in text
        assert f"# {name} before\n{hole}\n# {name} behind\n" in text


@pytest.mark.parametrize(
    ("before", "after"),
    [("x = 1\n" * 5, "y = 2\n" * 5), (CODE, "y = 2\n" * 5), ("x = 1\n" * 5, CODE), (CODE, CODE)],
    ids=["small file", "hole at the end", "hole at the start", "hole inside"],
)
def test_prompt_keeps_its_beginning_while_somebody_types(
    tiny: Tokenizer, before: str, after: str
) -> None:
    """Cached keys serve the common prefix; it gets short only where a stride's edge is passed."""
    typed = "    total = value_of_step * 2\n    return total - 1\n"
    prompts = [
        build(request(before + typed[:end], Hole(), after), tiny, context=4096).ids
        for end in range(len(typed) + 1)
    ]
    shares = [common(one, two) / len(two) for one, two in pairwise(prompts)]
    assert sum(share < 0.7 for share in shares) <= 1
    assert sum(shares) / len(shares) > 0.9


@pytest.mark.parametrize("context", [1_000_000, 600])
def test_chat_asks_for_the_hole_inside_a_turn(gemma: Tokenizer, context: int) -> None:
    asked = request(CODE, Hole("old"), CODE, path="a.py", instruction="Be brief.")
    made = build(asked, gemma, context=context)
    assert len(made.ids) <= min(context, CHAT_TOKENS)
    text = shown(gemma, made.ids)
    assert text.startswith("<bos><|turn>user\n") and text.count("<hole>") == 2
    assert "return value + 199 * 2\n\n\n<hole>def step_0(value)" in text
    ending = "Be brief.<turn|>\n<|turn>model\n<|channel>thought\n<channel|>```\n"
    assert text.endswith(ending)
    assert made.holes == (gemma.encode("old"),) and made.markers == ([],)
    assert made.closing == "\n```"


def test_chat_writes_each_special_as_one_id(gemma: Tokenizer) -> None:
    made = build(request("<|turn>", Hole(), "<eos>"), gemma, context=8192)
    found = [id for id in made.ids if id < len(CHAT)]
    names = ("<bos>", "<|turn>", "<turn|>", "<|turn>", "<|channel>", "<channel|>")
    assert found == [gemma.id(name) for name in names]
    assert found[0] == BOS


def test_chat_names_several_holes_and_sets_their_names_on_the_canvas(gemma: Tokenizer) -> None:
    passages = (Passage("a.py", ("a", Hole(), "b")), Passage("b.py", ("c", Hole(), "d")))
    made = build(InfillRequest(passages), gemma, context=8192)
    text = shown(gemma, made.ids)
    assert "a.py\n```\na<hole 1>b\n```\n" in text and "b.py\n```\nc<hole 2>d\n```\n" in text
    assert made.markers == ([], gemma.encode("\n<hole 2>\n"))


def test_chat_refuses_an_instruction_that_leaves_no_room(gemma: Tokenizer) -> None:
    with pytest.raises(ValueError, match=r"leave -?\d+ tokens"):
        build(request("a", Hole(), instruction="very " * 2000), gemma, context=8192)


def test_chat_refuses_text_between_holes_that_does_not_fit(gemma: Tokenizer) -> None:
    parts = ("a", Hole(), "word " * 3000, Hole(), "b")
    request = InfillRequest((Passage("a.py", parts),))
    with pytest.raises(ValueError, match="tokens for the text around"):
        build(request, gemma, context=2000)


def test_vocabulary_with_tinys_markers_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="special tokens are not tiny's"):
        build(request("a", Hole()), byte_level(tmp_path, ("<|suf|>",)), context=4096)


def test_vocabulary_of_neither_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither"):
        build(request("a", Hole()), byte_level(tmp_path, CHAT[:3]), context=8192)
    without = byte_level(tmp_path, CHAT[:5])
    with pytest.raises(ModelError, match="channel"):
        build(request("a", Hole()), without, context=8192)
