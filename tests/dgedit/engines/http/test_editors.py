"""Editors' requests, field for field as their sources write them, and answers read as they do.

llama.vim of January 2026, minuet-ai.nvim, Zed and Continue of 2026; none of them was run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from dgedit.engines.http.server import HttpServing
from dgedit_engine.types import Hole, Passage
from overhttp import ask, begun, head, raw, served, until
from scripted import Scripted

P, S = "def area(r):\n    return ", "\n\nprint(area(2))\n"


@pytest.fixture
def serving() -> Iterator[HttpServing]:
    with served(Scripted(("3.14 * r ** 2",))) as found:
        yield found


def asked(serving: HttpServing) -> tuple[Passage, ...]:
    """What the engine was asked last."""
    backend = serving.backend
    assert isinstance(backend, Scripted)
    return backend.requests[-1].passages


LLAMA_VIM: dict[str, Any] = {
    "id_slot": 0,
    "input_prefix": "def area(r):\n",
    "input_suffix": S,
    "input_extra": [{"text": "PI = 3\n", "time": [1769940123, 123456], "filename": "pi.py"}],
    "prompt": "    return ",
    "n_predict": 128,
    "stop": [],
    "n_indent": 4,
    "top_k": 40,
    "top_p": 0.9,
    "samplers": ["top_k", "top_p", "infill"],
    "stream": False,
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 1000,
    "response_fields": [
        "content",
        "timings/prompt_n",
        "timings/prompt_ms",
        "timings/prompt_per_token_ms",
        "timings/prompt_per_second",
        "timings/predicted_n",
        "timings/predicted_ms",
        "timings/predicted_per_token_ms",
        "timings/predicted_per_second",
        "truncated",
        "tokens_cached",
    ],
    "model": "nano",
}


def test_llama_vim_is_answered(serving: HttpServing) -> None:
    found, body = ask(serving, "/infill", LLAMA_VIM, Authorization="Bearer ")
    assert found.status == 200
    assert asked(serving) == (Passage("", (P, Hole(), S)), Passage("pi.py", ("PI = 3\n",)))
    assert list(body) == LLAMA_VIM["response_fields"]
    assert (body["content"], body["timings/predicted_n"]) == ("3.14 * r ** 2", 5)


def test_llama_vim_takes_the_answer_for_json(serving: HttpServing) -> None:
    """It drops what has a blank between the colon and the text."""
    body = json.dumps(LLAMA_VIM).encode()
    said = raw(serving, head(serving, "Host: localhost", f"Content-Length: {len(body)}") + body)
    text = said.partition(b"\r\n\r\n")[2].decode()
    assert re.match(r"\s*\{", text) and re.search(r'"content"\s*:"', text)
    assert "\n" not in text


def test_llama_vim_announces_files_and_waits_for_nobody() -> None:
    """However many do wait."""
    extra = LLAMA_VIM["input_extra"]
    body = {"id_slot": 0, "input_prefix": "", "input_suffix": "", "input_extra": extra}
    body |= {"prompt": "", "n_predict": 0, "temperature": 0.0, "samplers": [], "stream": False}
    body |= {"cache_prompt": True, "t_max_prompt_ms": 1, "t_max_predict_ms": 1}
    body |= {"response_fields": [""]}
    backend = Scripted(pause=0.3)
    with served(backend) as serving:
        clients = [begun(serving) for _ in range(9)]
        until(lambda: len(serving.turns._queue) == 8)
        assert ask(serving, "/infill", body)[1] == {}
        assert backend.closed == 0
        for one in clients:
            one.close()
    assert all(one.holes for request in backend.requests for one in request.passages)


def test_llama_vim_may_ask_for_several(serving: HttpServing) -> None:
    one, two = ask(serving, "/infill", LLAMA_VIM | {"n_cmpl": 2})[1]
    assert one["content"] == two["content"] == "3.14 * r ** 2"


def decoded(stream: str) -> str:
    """The text that minuet makes of a stream, also of one that its time cut short."""
    text = ""
    for line in stream.split("\n"):
        try:
            text += json.loads(line.removeprefix("data:"))["choices"][0]["text"]
        except (ValueError, KeyError, IndexError):
            continue
    return text


def test_minuet_is_answered(serving: HttpServing) -> None:
    before = "# language: python\n# indentation: use 4 spaces for a tab\n" + P
    body = {"model": "nano", "stream": True, "max_tokens": 56, "prompt": before, "suffix": S}
    headers = {"Accept": "application/json", "Authorization": "Bearer xterm-256color"}
    _, stream = ask(serving, "/v1/completions", body | {"top_p": 0.9}, **headers)
    assert asked(serving) == (Passage("", (before, Hole(), S)),)
    assert decoded(stream) == "3.14 * r ** 2"
    first = stream.partition("\n\n")[0]
    assert decoded(first) and "3.14 * r ** 2".startswith(decoded(first))
    marked = {"prompt": f"<|fim_prefix|>{P}<|fim_suffix|>{S}<|fim_middle|>", "stream": False}
    assert ask(serving, "/v1/completions", marked)[1]["choices"][0]["text"] == "3.14 * r ** 2"
    assert asked(serving) == (Passage("", (P, Hole(), S)),)


ZED = {
    "code_llama": (f"<PRE> {P} <SUF>{S} <MID>", ["<PRE>", "<SUF>", "<MID>"]),
    "star_coder": (
        f"<fim_prefix>{P}<fim_suffix>{S}<fim_middle>",
        ["<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>"],
    ),
    "deepseek_coder": (
        f"<｜fim▁begin｜>{P}<｜fim▁hole｜>{S}<｜fim▁end｜>",
        ["<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"],
    ),
    "qwen": (
        f"<|fim_prefix|>{P}<|fim_suffix|>{S}<|fim_middle|>",
        ["<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"],
    ),
    "codestral": (f"[SUFFIX]{S}[PREFIX]{P}", ["[PREFIX]", "[SUFFIX]"]),
    "glm": (
        f"<|code_prefix|>{P}<|code_suffix|>{S}<|code_middle|>",
        ["<|endoftext|>", "<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"],
    ),
}


@pytest.mark.parametrize("name", ZED)
def test_zed_is_answered_in_every_prompt_format(serving: HttpServing, name: str) -> None:
    prompt, stop = ZED[name]
    body = {"model": "nano", "prompt": prompt, "max_tokens": 256, "stop": stop}
    found = ask(serving, "/v1/completions", body)[1]
    assert asked(serving) == (Passage("", (P, Hole(), S)),)
    assert found["choices"][0]["text"] == "3.14 * r ** 2"
    kinds = {"id": str, "object": str, "created": int, "model": str, "usage": dict}
    assert {key: type(found[key]) for key in kinds} == kinds
    assert all(type(one) is int for one in found["usage"].values())


def test_zed_is_answered_as_codestral_would(serving: HttpServing) -> None:
    body = {"model": "codestral-latest", "prompt": P, "suffix": S, "max_tokens": 150}
    body |= {"temperature": 0.2, "top_p": 1.0, "stream": False}
    found = ask(serving, "/v1/fim/completions", body)[1]
    (choice,) = found["choices"]
    assert choice["message"] == {"role": "assistant", "content": "3.14 * r ** 2"}
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    kinds = {"id": str, "object": str, "created": int, "model": str, "usage": dict}
    assert {key: type(found[key]) for key in kinds} == kinds


def test_continue_is_answered_as_llama_cpp_would(serving: HttpServing) -> None:
    """Its provider `llama.cpp`."""
    body = {
        "prompt": ZED["qwen"][0],
        "stream": True,
        "n_predict": 1024,
        "stop": [*ZED["qwen"][1], "<|fim_pad|>", "/src/", "#- coding: utf-8", "```", "\ndef"],
        "temperature": 0.01,
    }
    _, stream = ask(serving, "/completion", body)
    assert asked(serving) == (Passage("", (P, Hole(), S)),)
    events = [json.loads(one.removeprefix("data: ")) for one in stream.split("\n\n") if one]
    assert "".join(one["content"] for one in events) == "3.14 * r ** 2"
    assert [one["stop"] for one in events] == [False] * (len(events) - 1) + [True]


def test_continue_is_answered_as_mistral_would(serving: HttpServing) -> None:
    body = {"model": "nano", "prompt": P, "suffix": S, "max_tokens": 4096, "temperature": 0.01}
    body |= {"top_p": None, "frequency_penalty": None, "presence_penalty": None, "stream": True}
    _, stream = ask(serving, "/v1/fim/completions", body | {"stop": ["\n\n", "```"]})
    *events, end = (one.removeprefix("data: ") for one in stream.split("\n\n") if one)
    choices = [json.loads(one)["choices"][0] for one in events]
    assert "".join(one["delta"]["content"] for one in choices) == "3.14 * r ** 2"
    assert [one["finish_reason"] for one in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert end == "[DONE]"
    assert len({json.loads(one)["id"] for one in events}) == 1
