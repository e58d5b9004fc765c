"""What editors ask, read into requests; and what they are answered."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgedit.engines.http.answers import Answer, Answered
from dgedit.engines.http.completions import Form, read
from dgedit_engine.types import Draft, Hole, Passage


def draft(*pieces: str) -> Draft:
    return Draft(pieces, (0.9,) * len(pieces), (True,) * len(pieces))


DONE = Answered((draft("1", " +", "\n2"), draft("3")), True, 0.5, 0.25)


def answered(form: Form, body: dict[str, Any], done: Answered = DONE) -> dict[str, Any]:
    found = Answer(read(form, body, effort=0.5), model="nano", count=len).whole(done)
    assert isinstance(found, dict)
    return found


def streamed(form: Form, body: dict[str, Any], done: Answered = DONE) -> list[str]:
    asked = read(form, {**body, "stream": True}, effort=0.5)
    return list(Answer(asked, model="nano", count=len).ended(done))


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "a = ", "suffix": "\nb"},
        {"prompt": ["a = "], "suffix": "\nb"},
        {"prompt": "a = ", "suffix": "\r\nb", "temperature": 0.2, "top_p": 1, "best_of": 1},
        {"prompt": "<fim_prefix>a = <fim_suffix>\nb<fim_middle>"},
        {"prompt": "<|fim_prefix|>a = <|fim_suffix|>\nb<|fim_middle|>", "suffix": ""},
    ],
)
def test_prompt_and_suffix_are_around_the_hole(body: dict[str, Any]) -> None:
    asked = read("completions", body, effort=0.75)
    assert asked.request is not None
    assert asked.request.passages == (Passage("", ("a = ", Hole(), "\nb")),)
    assert asked.request.effort == 0.75
    assert asked.request.candidates is None


def test_whole_number_may_be_written_with_a_point() -> None:
    """As Vim and Lua write those that they calculated."""
    body = NOTHING | {"n_predict": 128.0, "t_max_predict_ms": 1e3, "seed": -1.0}
    asked = read("infill", body, effort=0.5)
    assert (asked.most, asked.seconds) == (128, 1.0)


def test_prompt_alone_is_continued() -> None:
    for body in ({"prompt": "a"}, {"prompt": "a", "suffix": None, "n": None, "stop": None}):
        asked = read("completions", body, effort=0.5)
        assert asked.request is not None
        assert asked.request.passages == (Passage("", ("a", Hole())),)


def test_other_options_of_a_completion_are_heeded() -> None:
    body = {"prompt": "a\ud800", "n": 3, "seed": 7, "max_tokens": 5, "stop": "\n", "echo": True}
    asked = read("completions", body, effort=0.5)
    assert asked.request is not None
    assert (asked.request.seed, asked.request.candidates) == (7, 3)
    assert (asked.most, asked.stops, asked.before) == (5, ("\n",), "a\ufffd")
    minus = read("completions", {"prompt": "a", "seed": -1}, effort=0.5).request
    assert minus is not None and minus.seed == 0


WHOLE = f"must be a whole number, -1 to {2**63}"
NOTHING = {"input_prefix": "", "input_suffix": ""}


@pytest.mark.parametrize(
    ("form", "body", "why"),
    [
        ("completions", [], "the body must be a JSON object, not a list"),
        ("completions", None, "the body must be a JSON object, not null"),
        ("completions", {}, "prompt must be one text, not null"),
        ("completions", {"prompt": [1, 2]}, "prompt must be one text, not a list"),
        ("completions", {"prompt": ["a", "b"]}, "prompt must be one text, not a list"),
        ("completions", {"prompt": "a", "suffix": 3}, "suffix must be a text, not 3"),
        ("completions", {"prompt": "a", "n": 9}, "n must be a whole number, 1 to 8, not 9"),
        ("completions", {"prompt": "a", "n": 0}, "n must be a whole number, 1 to 8, not 0"),
        ("completions", {"prompt": "a", "n": True}, "n must be a whole number, 1 to 8, not true"),
        ("completions", {"prompt": "a", "max_tokens": 1.5}, f"max_tokens {WHOLE}, not 1.5"),
        ("completions", {"prompt": "a", "max_tokens": -2}, f"max_tokens {WHOLE}, not -2"),
        ("completions", {"prompt": "a", "max_tokens": math.nan}, f"max_tokens {WHOLE}, not NaN"),
        ("completions", {"prompt": "a", "max_tokens": math.inf}, f"{WHOLE}, not Infinity"),
        ("completions", {"prompt": "a", "max_tokens": "9" * 99}, f'not "{"9" * 59}…'),
        ("completions", {"prompt": "a", "max_tokens": "\ud800\n"}, 'not "\\ud800\\n"'),
        ("completions", {"prompt": "a", "max_tokens": [[[]]]}, f"{WHOLE}, not a list"),
        ("completions", {"prompt": "a", "seed": 2**80}, f"not {2**80}"),
        ("completions", {"prompt": "a", "stop": [1]}, "stop must be texts, not 1"),
        (
            "completions",
            {"prompt": "a", "stop": ["a"] * 65},
            "stop must be at most 64 texts, not 65",
        ),
        ("completions", {"prompt": "a", "stop": 3}, "stop must be a list of texts, not 3"),
        (
            "completions",
            {"prompt": "a", "stream": "yes"},
            'stream must be true or false, not "yes"',
        ),
        ("completion", {"prompt": None}, "prompt must be one text, not null"),
        ("infill", {"input_suffix": ""}, '"input_prefix" is required'),
        ("infill", {"input_prefix": ""}, '"input_suffix" is required'),
        ("infill", NOTHING | {"prompt": 3}, "prompt must be a text, not 3"),
        ("infill", NOTHING | {"input_prefix": {}}, "input_prefix must be a text, not an object"),
        ("infill", NOTHING | {"n_predict": 1e300}, "not 1000000000"),
        ("infill", NOTHING | {"n_predict": -3}, "not -3"),
        ("infill", NOTHING | {"t_max_predict_ms": -7}, "not -7"),
        ("infill", NOTHING | {"input_extra": [{}]}, 'must contain a "text" field'),
        ("infill", NOTHING | {"input_extra": [{"text": "a"}] * 257}, "at most 256 chunks, not 257"),
        ("infill", NOTHING | {"input_extra": {"a": 1}}, "list of chunks, not an object"),
        (
            "infill",
            NOTHING | {"response_fields": [[[]]]},
            "response_fields must be texts, not a list",
        ),
    ],
)
def test_body_that_makes_no_sense_is_refused(form: Form, body: Any, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(form, body, effort=0.5)
    assert why in str(caught.value)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 160


def test_completion_is_answered_as_openai_does() -> None:
    found = answered("completions", {"prompt": "x = ", "suffix": "\n"})
    assert found.pop("id").startswith("cmpl-")
    assert isinstance(found.pop("created"), int)
    assert found == {
        "object": "text_completion",
        "model": "nano",
        "choices": [{"index": 0, "text": "1 +\n2", "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
    }


@pytest.mark.parametrize(
    ("options", "text", "finish"),
    [
        ({"max_tokens": 2}, "1 +", "length"),
        ({"max_tokens": 3}, "1 +\n2", "stop"),
        ({"max_tokens": 0}, "", "length"),
        ({"max_tokens": -1}, "1 +\n2", "stop"),
        ({"stop": ["2", "\n"]}, "1 +", "stop"),
        ({"stop": "+\n"}, "1 ", "stop"),
        ({"stop": [""]}, "1 +\n2", "stop"),
        ({"stop": "2", "max_tokens": 2}, "1 +", "length"),
        ({"echo": True}, "x = 1 +\n2", "stop"),
        ({"echo": True, "stop": "x"}, "x = 1 +\n2", "stop"),
    ],
)
def test_answer_ends_where_it_should(options: dict[str, Any], text: str, finish: str) -> None:
    (choice,) = answered("completions", {"prompt": "x = ", **options})["choices"]
    assert (choice["text"], choice["finish_reason"]) == (text, finish)


def test_infill_stopped_at_its_cap_ends_for_length() -> None:
    cut = Answered((draft("1"),), False, 0.5, 0.25)
    assert answered("completions", {"prompt": "a"}, cut)["choices"][0]["finish_reason"] == "length"


def test_as_many_answers_come_as_are_asked_for() -> None:
    found = answered("completions", {"prompt": "a", "n": 3})
    assert [one["text"] for one in found["choices"]] == ["1 +\n2", "3", "1 +\n2"]
    assert [one["index"] for one in found["choices"]] == [0, 1, 2]
    assert found["usage"]["completion_tokens"] == 7


def test_completion_streams_as_openai_does() -> None:
    *rest, end = streamed("completions", {"prompt": "a"})
    assert end == "[DONE]"
    (chunk,) = map(json.loads, rest)
    assert chunk["object"] == "text_completion"
    assert chunk["choices"][0]["text"] == "1 +\n2"
    assert chunk["choices"][0]["finish_reason"] == "stop"
    body = {"prompt": "a", "stream_options": {"include_usage": True}}
    *_, usage, _ = streamed("completions", body)
    assert json.loads(usage)["usage"]["total_tokens"] == 4
    assert json.loads(usage)["choices"] == []


def test_fill_in_the_middle_is_answered_as_a_chat() -> None:
    (choice,) = answered("fim", {"prompt": "a", "suffix": "b"})["choices"]
    assert choice["message"] == {"role": "assistant", "content": "1 +\n2"}
    chunk = json.loads(streamed("fim", {"prompt": "a", "suffix": "b"})[0])
    assert chunk["object"] == "chat.completion.chunk"
    assert chunk["choices"][0]["delta"]["content"] == "1 +\n2"


LLAMA: dict[str, Any] = {
    "input_prefix": "def f():\n",
    "input_suffix": "\n\nf()\n",
    "input_extra": [{"text": "g = 1\n", "time": [1, 2], "filename": "g.py"}, {"text": "h"}],
    "prompt": "    return ",
    "n_predict": 128,
    "n_indent": 4,
    "top_k": 40,
    "samplers": ["top_k", "infill"],
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 1500,
}


def test_infill_is_read_as_llama_cpp_does() -> None:
    asked = read("infill", LLAMA, effort=0.5)
    assert asked.request is not None
    assert asked.request.passages == (
        Passage("", ("def f():\n    return ", Hole(), "\n\nf()\n")),
        Passage("g.py", ("g = 1\n",)),
        Passage("", ("h",)),
    )
    assert (asked.most, asked.seconds) == (128, 1.5)


@pytest.mark.parametrize(("limit", "effort"), [(None, 0.5), (250, 0.0), (1000, 0.0), (1001, 0.5)])
def test_request_in_a_hurry_gets_the_least_effort(limit: int | None, effort: float) -> None:
    request = read("infill", {**LLAMA, "t_max_predict_ms": limit}, effort=0.5).request
    assert request is not None and request.effort == effort


def test_infill_is_answered_as_llama_cpp_does() -> None:
    found = answered("infill", LLAMA)
    assert found["content"] == "1 +\n2"
    assert (found["stop"], found["stop_type"], found["truncated"]) == (True, "eos", False)
    assert found["has_new_line"] is True
    assert found["tokens_predicted"] == 3
    assert found["tokens_cached"] == found["tokens_evaluated"] + 3
    timings = found["timings"]
    assert (timings["prompt_ms"], timings["predicted_ms"]) == (500.0, 250.0)
    assert timings["predicted_per_second"] == 12.0
    assert timings["predicted_per_token_ms"] == pytest.approx(250 / 3)
    found = answered("infill", {**LLAMA, "stop": ["+", "2"], "n_predict": -1})
    assert (found["content"], found["stop_type"], found["stopping_word"]) == ("1 ", "word", "+")
    assert answered("infill", {**LLAMA, "n_predict": 1})["stop_type"] == "limit"


def test_infill_gives_the_fields_that_are_wanted() -> None:
    """As llama.vim asks."""
    fields = ["content", "timings/prompt_n", "timings/predicted_ms", "truncated", "nothing"]
    assert answered("infill", {**LLAMA, "response_fields": fields}) == {
        "content": "1 +\n2",
        "timings/prompt_n": 33,
        "timings/predicted_ms": 250.0,
        "truncated": False,
    }
    assert answered("infill", {**LLAMA, "response_fields": [""]}) == {}


def test_nothing_is_filled_where_no_token_is_wanted() -> None:
    """As llama.vim announces other files."""
    asked = read("infill", {**LLAMA, "n_predict": 0}, effort=0.5)
    assert asked.request is None
    found = answered("infill", {**LLAMA, "n_predict": 0}, Answered((), True, 0.0, 0.0))
    assert (found["content"], found["tokens_predicted"]) == ("", 0)


def test_infill_streams_as_llama_cpp_does() -> None:
    first, last = map(json.loads, streamed("infill", LLAMA))
    assert (first["content"], first["stop"]) == ("1 +\n2", False)
    assert (last["content"], last["stop"]) == ("", True)


WORDS = st.text(max_size=9) | st.lists(
    st.sampled_from(
        ["<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<file_sep>", "[SUFFIX]", "[PREFIX]"]
    )
    | st.sampled_from(["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_sep|>"])
    | st.sampled_from(["+++++ ", "\n", "a"]),
    max_size=9,
).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        *("prompt", "suffix", "n", "seed", "max_tokens", "stop", "stream", "echo"),
        *("stream_options", "input_prefix", "input_suffix", "input_extra", "n_predict"),
        *("t_max_predict_ms", "response_fields", "n_cmpl"),
    ]
)


@given(
    st.sampled_from(["completions", "fim", "infill", "completion"]),
    st.dictionaries(NAMES, JSON) | JSON,
)
def test_any_body_is_read_or_refused(form: Form, body: object) -> None:
    try:
        asked = read(form, body, effort=0.5)
    except ValueError as error:
        assert str(error).isprintable()
    else:
        one = Answer(asked, model="nano", count=len)
        json.dumps(one.whole(DONE))
        assert list(one.ended(DONE))
