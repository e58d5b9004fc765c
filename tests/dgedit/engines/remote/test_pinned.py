"""Holes filled on a server that holds text: what it is asked, and what comes of it."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dgedit.engines.connect import connect
from dgedit.engines.remote import exchange
from dgedit.errors import EngineError
from dgedit_engine.types import Hole, Infill, InfillRequest, Passage, collect
from fakechat import alone
from fakevllm import SPECIALS, FakeVllm, decode, encode, fakevllm

ONE = InfillRequest((Passage("a.py", ("x = ", Hole(), "\ny = 2\n")),))
GRID = Hole("1.\n.1", (1, 3), "12")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVllm]:
    alone(monkeypatch)
    with fakevllm() as found:
        yield found


def filled(fake: FakeVllm, request: InfillRequest = ONE) -> Infill:
    return collect(iter(connect(None, None, fake.url).infill(request)))


def xargs(fake: FakeVllm) -> list[dict[str, Any]]:
    return [one["vllm_xargs"] for one in fake.canvases]


def test_hole_is_filled_between_text_that_is_pinned(fake: FakeVllm) -> None:
    """As its example asks: a seed as wide as the canvas, positions, steps, one canvas alone."""
    found = filled(fake)
    assert found.texts == ("1234",) and found.stopped == "settled"
    assert len(fake.canvases) == 4 and not fake.of("/v1/chat/completions")
    for body in fake.canvases:
        asked = body["vllm_xargs"]
        seed, pins = asked["diffusion_seed_canvas"], asked["diffusion_pinned"]
        assert len(seed) == asked["diffusion_canvas_length"] == body["max_tokens"]
        assert asked["diffusion_read_only"] == 1 and asked["diffusion_max_steps"] == 48
        assert decode([seed[slot] for slot in pins[:4]]) == "x = "
        assert not {"temperature", "seed", "stream"} & set(body)
        assert decode(body["prompt"]).endswith("<|turn>model\n<|channel>thought\n<channel|>```\n")
    whole = next(one for one in xargs(fake) if len(one["diffusion_pinned"]) > 5)
    seed = whole["diffusion_seed_canvas"]
    held = decode([seed[slot] for slot in whole["diffusion_pinned"]])
    assert held.rstrip("<pad>").startswith("x = \ny = 2\n```<turn|")


def test_thought_that_the_template_leaves_open_is_closed(fake: FakeVllm) -> None:
    fake.closed_thought = False
    filled(fake)
    assert decode(fake.canvases[0]["prompt"]).count("<|channel>thought\n<channel|>") == 1


def test_candidates_are_refined_side_by_side(fake: FakeVllm) -> None:
    fake.delay = 0.3
    found = filled(fake)
    assert fake.together == 4
    assert found.candidates[0][0].draft.text == "1234"


def test_infill_as_long_as_needed_comes_with_an_open_end(fake: FakeVllm) -> None:
    """No canvas has just so many slots; one that writes on meets the text behind."""
    fake.infill = "f(x, y, z)"
    assert filled(fake).texts == ("f(x, y, z)",)


def test_infill_of_the_last_line_ends_where_the_answer_closes(fake: FakeVllm) -> None:
    fake.infill, fake.behind = "f(x, y, z)", ""
    assert filled(fake, InfillRequest((Passage("a.py", ("x = ", Hole())),))).texts == (fake.infill,)


def test_answer_that_changes_a_pinned_slot_does_not_change_the_text(fake: FakeVllm) -> None:
    """vLLM answers the model's own reading of every slot, pinned or not."""

    def spoil(answer: dict[str, Any]) -> dict[str, Any]:
        answer["choices"][0]["token_ids"][0] = encode("Z")[0]
        answer["choices"][0]["logprobs"]["tokens"][0] = "Z"
        return answer

    fake.spoil = spoil
    assert filled(fake).texts == ("1234",)


def test_strength_keeps_a_share_of_the_text(fake: FakeVllm) -> None:
    held = "abcdefghijklmnopqrst"
    request = InfillRequest((Passage("a.py", ("x = ", Hole(held), "\ny = 2\n")),), strength=0.3)
    fake.infill = held
    filled(fake, request)
    for asked in xargs(fake):
        seed = asked["diffusion_seed_canvas"]
        free = [one for one in range(len(seed)) if one not in asked["diffusion_pinned"]]
        kept = sum(seed[slot] == encode(held)[at] for at, slot in enumerate(free[: len(held)]))
        assert 8 <= kept < len(held)
        assert asked["diffusion_max_steps"] == 15
    assert held in decode(fake.canvases[0]["prompt"])


def test_template_has_its_blanks_confined_to_their_characters(fake: FakeVllm) -> None:
    fake.infill = "21"
    found = filled(fake, InfillRequest((Passage("a.sudoku", ("# ", GRID, "\n")),)))
    assert found.texts == ("12\n11",)
    (body,) = fake.canvases
    asked = body["vllm_xargs"]
    assert body["logprob_token_ids"] == encode("12") and asked["diffusion_constrained"] == 1
    seed = asked["diffusion_seed_canvas"]
    free = [one for one in range(len(seed)) if one not in asked["diffusion_pinned"]]
    assert [seed[slot] in encode("12") for slot in free] == [True, True]
    assert decode(seed).startswith("# 1")


def test_template_on_a_server_that_takes_no_notice_is_refused(fake: FakeVllm) -> None:
    """Though a blank is filled with a character that it may become."""

    def spoil(answer: dict[str, Any]) -> dict[str, Any]:
        choice = answer["choices"][0]
        choice["token_ids"] = [encode("#")[0], *[encode("1")[0]] * (len(choice["token_ids"]) - 1)]
        return answer

    fake.spoil = spoil
    with pytest.raises(EngineError, match="fills no templates: it does not hold the text"):
        filled(fake, InfillRequest((Passage("a.sudoku", ("# ", GRID, "\n")),)))


@pytest.mark.parametrize("other", ["2", "y"])
def test_template_beside_other_requests_is_not_confined_and_held_all_the_same(
    fake: FakeVllm, other: str
) -> None:
    """vLLM confines a step only where all that it does in it has the same characters."""

    def spoil(answer: dict[str, Any]) -> dict[str, Any]:
        choice = answer["choices"][0]
        asked = fake.canvases[-1]["vllm_xargs"]
        pins = set(asked["diffusion_pinned"])
        for slot, one in enumerate(asked["diffusion_seed_canvas"]):
            choice["token_ids"][slot] = one if slot in pins else encode("x")[0]
            choice["logprobs"]["top_logprobs"][slot] = {"x": -0.1, other: -1.0}
        return answer

    fake.spoil = spoil
    request = InfillRequest((Passage("a.sudoku", ("# ", GRID, "\n")),))
    if other == "2":
        assert filled(fake, request).texts == ("12\n21",)
        return
    with pytest.raises(EngineError, match="fills no templates: it fills a blank with none of"):
        filled(fake, request)


def test_several_holes_are_filled_one_after_the_other(fake: FakeVllm) -> None:
    parts = ("x = ", Hole("old"), "\ny = 2\n", Hole("z = 1"), "\ny = 2\n")
    steps = list(connect(None, None, fake.url).infill(InfillRequest((Passage("a.py", parts),))))
    assert [draft.text for draft in steps[-1].drafts] == ["1234", "1234"]
    assert [step.index for step in steps] == [*range(1, len(steps) + 1)]
    assert all(step.total >= step.index for step in steps)
    first, last = (decode(fake.canvases[at]["prompt"]) for at in (0, -1))
    assert "x = <hole>\ny = 2\nz = 1\ny = 2" in first
    assert "x = 1234\ny = 2\n<hole>\ny = 2" in last


def test_effort_steps_and_candidates_are_the_requests(fake: FakeVllm) -> None:
    filled(fake, InfillRequest(ONE.passages, steps=7, candidates=2))
    assert [one["diffusion_max_steps"] for one in xargs(fake)] == [7, 7]


def test_seed_decides_on_the_noise(fake: FakeVllm) -> None:
    for seed in (1, 1, 2):
        filled(fake, InfillRequest(ONE.passages, seed=seed, candidates=1))
    one, same, other = (asked["diffusion_seed_canvas"] for asked in xargs(fake))
    assert one == same != other


def test_lines_end_as_the_files_do(fake: FakeVllm) -> None:
    fake.infill = "1\nz = 3"
    request = InfillRequest((Passage("a.py", ("x = ", Hole(), "\r\ny = 2\r\n")),))
    assert filled(fake, request).texts == ("1\r\nz = 3",)


def test_fence_is_longer_than_those_in_the_text(fake: FakeVllm) -> None:
    fake.infill, fake.behind, fake.closing = "```\ncode\n```", "\nend", "\n`````"
    request = InfillRequest((Passage("a.md", ("````\n", Hole(), "\nend\n")),))
    assert filled(fake, request).texts == ("```\ncode\n```",)


@pytest.mark.parametrize("served", [32, 64, 128])
def test_smaller_canvas_is_found(fake: FakeVllm, served: int) -> None:
    fake.served = served
    request = InfillRequest((Passage("a.py", ("word ", Hole(), "\ny = 2\n")),))
    assert filled(fake, request).texts == ("1234",)


@pytest.mark.parametrize("served", [64, 256])
def test_server_with_one_width_is_asked_for_that(fake: FakeVllm, served: int) -> None:
    fake.served, fake.asynchronous = served, False
    assert filled(fake).texts == ("1234",)
    last = xargs(fake)[-1]
    assert "diffusion_canvas_length" not in last and len(last["diffusion_seed_canvas"]) == served


@pytest.mark.parametrize(
    "version",
    [
        '{"version": "0.31.9"}',
        '{"version": "dev"}',
        '{"version": 3}',
        "[]",
        "x",
        "[" * 9999,
        "",
    ],
)
def test_older_or_unknown_version_is_asked_in_words(fake: FakeVllm, version: str) -> None:
    fake.version = version
    assert filled(fake).texts == ("in words",)
    assert not fake.canvases


@pytest.mark.parametrize("version", ["0.32.0", "0.32.1rc2.dev9+gabc", "v0.33", "1.0.0"])
def test_newer_versions_pin(fake: FakeVllm, version: str) -> None:
    fake.version = json.dumps({"version": version})
    assert connect(None, None, fake.url).ability.canvas
    assert filled(fake).texts == ("1234",)


def test_server_that_never_says_its_version_is_not_waited_for(
    fake: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgedit.engines.remote.vllm._PATIENCE", 0.2)
    waiting = threading.Event()
    ask = exchange.Conversation.ask

    def slow(self: Any, method: str, url: str, body: object = None) -> Any:
        if url.endswith("/version"):
            while not self._closed.wait(0.01):
                waiting.set()
            raise exchange.Closed
        return ask(self, method, url, body)

    monkeypatch.setattr(exchange.Conversation, "ask", slow)
    assert not connect(None, None, fake.url).ability.canvas
    assert waiting.is_set()


def spoilt(name: str) -> Any:
    def spoil(answer: dict[str, Any]) -> Any:
        (choice,) = answer["choices"]
        known = choice["logprobs"]
        if name == "short":
            choice["token_ids"] = choice["token_ids"][:-1]
        elif name == "empty":
            choice["token_ids"], known["tokens"], known["token_logprobs"] = [], [], []
            known["top_logprobs"] = []
        elif name == "outside":
            choice["token_ids"][5] = 262_144
        elif name == "negative":
            choice["token_ids"][5] = -1
        elif name == "text":
            choice["token_ids"][5] = "5"
        elif name == "nan":
            known["token_logprobs"][5] = float("nan")
        elif name == "null":
            known["token_logprobs"][5] = None
        elif name == "no logprobs":
            choice["logprobs"] = None
        elif name == "not held":
            choice["token_ids"] = [encode("#")[0]] * len(choice["token_ids"])
        elif name == "deep":
            return b"[" * 9999
        elif name == "no choices":
            return {"choices": []}
        elif name == "large":
            return b'{"x": "' + b"x" * 5_000_000
        return answer

    return spoil


FAULTS = {
    "short": "it answered \\d+ tokens for a canvas of",
    "empty": "it answered 0 tokens for a canvas of",
    "outside": "it answered a token 262144, which no vocabulary has",
    "negative": "it answered a token -1, which",
    "text": "it answered a token '5', which",
    "nan": "it answered probabilities that are no numbers",
    "null": "it answered probabilities that are no numbers",
    "no logprobs": "its answer has no tokens with their probabilities",
    "not held": "it does not hold the text that is to stay",
    "deep": "its answer has no tokens",
    "no choices": "its answer has no tokens",
}


@pytest.mark.parametrize("name", FAULTS)
def test_bad_answer_is_one_line_and_then_words(
    fake: FakeVllm, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    fake.spoil = spoilt(name)
    backend = connect(None, None, fake.url)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert collect(iter(backend.infill(ONE))).texts == ("in words",)
    (line,) = caplog.messages  # once, and the second time nobody tries
    assert re.search(f"pins no text \\(({FAULTS[name]})", line)
    assert "\n" not in line and line.isprintable()
    assert len(fake.canvases) == 4 and not backend.ability.canvas


def test_answer_without_an_end_is_cut_off(fake: FakeVllm) -> None:
    fake.spoil = spoilt("large")
    with pytest.raises(EngineError, match=r"is cut off: an answer of more than 4,000,000 bytes$"):
        filled(fake)


def test_server_that_refuses_the_arguments_is_asked_in_words(
    fake: FakeVllm, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fakevllm import Refused

    def refuse(answer: dict[str, Any]) -> Any:
        raise Refused("vllm_xargs: Extra inputs\n\x1b[31mare not permitted")

    fake.spoil = refuse
    assert filled(fake).texts == ("in words",)
    assert caplog.messages == [
        f"{fake.url.removeprefix('http://')} pins no text "
        "(vllm_xargs: Extra inputs ␛[31mare not permitted): it is asked in words"
    ]


def test_server_that_takes_no_notice_of_the_arguments_is_found_out(fake: FakeVllm) -> None:
    fake.pins = False
    assert filled(fake).texts == ("in words",)


def test_model_of_another_kind_is_asked_in_words(
    fake: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(SPECIALS, "<turn|>")
    assert filled(fake).texts == ("in words",)
    assert not fake.canvases


def test_hole_longer_than_a_canvas_is_asked_in_words_this_time(fake: FakeVllm) -> None:
    backend = connect(None, None, fake.url)
    long = InfillRequest((Passage("a.py", ("x = ", Hole("z" * 300), "\n")),), strength=0.5)
    assert collect(iter(backend.infill(long))).texts == ("in words",)
    assert collect(iter(backend.infill(ONE))).texts == ("1234",)


def test_words_go_without_a_temperature_where_the_server_wants_none(fake: FakeVllm) -> None:
    """vLLM refuses one for a diffusion model, and a seed."""
    fake.version = "{}"
    assert filled(fake).texts == ("in words",)
    assert [("seed" in one) for one in fake.of("/v1/chat/completions")] == [True, False]


def test_closing_hangs_up_on_all_canvases(fake: FakeVllm) -> None:
    fake.delay = 30.0
    steps = connect(None, None, fake.url).infill(ONE)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend(steps))
    thread.start()
    while fake.together < 4:
        time.sleep(0.01)
    steps.close()  # type: ignore[attr-defined]
    thread.join(5)
    assert not thread.is_alive() and found == []


def test_silent_server_is_one_line(fake: FakeVllm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "CONNECT", 0.2)
    monkeypatch.setattr(exchange, "FIRST", 0.3)
    fake.delay = 10.0
    with pytest.raises(EngineError, match=r"is silent: nothing came for \S+ s$"):
        filled(fake)


def test_exact_is_refused(fake: FakeVllm) -> None:
    with pytest.raises(EngineError, match="no causal reading to be exact about"):
        filled(fake, InfillRequest(ONE.passages, exact=True))
