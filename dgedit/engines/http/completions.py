"""Read and write the completion protocols that code editors use.

Three forms: OpenAI's completions with a suffix, Mistral's fill-in-the-middle, whose answers look
like a chat's, and `/infill` of llama.cpp's server. A prompt may also mark the hole with a code
model's special tokens: Zed, and Continue's templates, send those. Knows texts and JSON; neither
engines nor connections.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dgedit.files.document import readable
from dgedit_engine.types import Draft, Hole, InfillRequest, Passage

Form = Literal["completions", "fim", "infill"]

_ANSWERS = 8  # the most answers to one request
_STOPS = 64
_EXTRA = 256  # the most parts of other files
# Special tokens for the text before the hole, behind it, and the answer: StarCoder's and Qwen's.
_MARKS = (
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
)


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A request for completions."""

    form: Form
    """The protocol of the request and of its answer."""
    request: InfillRequest | None
    """The infill to run; None if nothing is to be filled, as when llama.vim only announces other
    files.
    """
    before: str
    """The text before the hole, to be repeated if `echo` is set."""
    most: int | None = None
    """The most tokens of an answer; None for no limit."""
    seconds: float | None = None
    """The time after which the best answer so far is wanted; None for no limit."""
    count: int = 1
    """The number of answers."""
    stops: tuple[str, ...] = ()
    """Texts before which an answer is cut off."""
    echo: bool = False
    """True if an answer begins with the text before the hole."""
    stream: bool = False
    """True if the answer is sent as server-sent events."""
    usage: bool = False
    """True if the events end with token counts."""
    fields: tuple[str, ...] | None = None
    """The fields wanted in the answer; None for all."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The result of an infill for a completion request."""

    drafts: tuple[Draft, ...]
    """The hole's text in each candidate, best first; empty if nothing was to be filled."""
    settled: bool
    """False if the infill was cut short."""
    read: float
    """Seconds until the first step."""
    refined: float
    """Seconds from the first step to the last."""


@dataclass(frozen=True, slots=True)
class _Text:
    """One answer."""

    text: str
    tokens: int
    ended: Literal["eos", "limit", "word"]
    word: str = ""


def read(form: Form, body: object, *, effort: float) -> CompletionRequest:
    """Parse a request's body. Raises ValueError, naming the field, for invalid values."""
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    stream = _flag(body, "stream")
    stops = _stops(body.get("stop"))
    if form == "infill":
        return _read_infill(body, stream=stream, stops=stops, effort=effort)
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise ValueError("prompt must be one text")
    suffix = _text(body, "suffix")
    before, after = (prompt, suffix) if suffix else _unmarked(prompt)
    count = _number(body, "n", 1, least=1, most=_ANSWERS)
    options = body.get("stream_options")
    most = _number(body, "max_tokens", -1, least=-1)
    return CompletionRequest(
        form,
        _request(before, after, (), body, count=count, effort=effort),
        readable(before),
        most=None if most < 0 else most,
        count=count,
        stops=stops,
        echo=_flag(body, "echo"),
        stream=stream,
        usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def answer(
    asked: CompletionRequest, answered: Answered, *, model: str, count: Callable[[str], int]
) -> dict[str, Any]:
    """Return the JSON that answers a request. `count` returns the number of tokens of a text."""
    texts = _texts(asked, answered)
    if asked.form == "infill":
        return _fields(_infill(texts[0], answered, asked, model=model, count=count), asked.fields)
    choices = [_choice(asked, at, one, whole=True) for at, one in enumerate(texts)]
    return _envelope(asked, model) | {"choices": choices, "usage": _usage(asked, texts, count)}


def events(
    asked: CompletionRequest, answered: Answered, *, model: str, count: Callable[[str], int]
) -> Iterator[str]:
    """Yield the answer as the data of events.

    There is one event with text for each answer, as text that is refined everywhere at once is
    known only at the end.
    """
    texts = _texts(asked, answered)
    if asked.form == "infill":
        begun = {"index": 0, "content": texts[0].text, "tokens": [], "stop": False, "id_slot": 0}
        yield json.dumps(begun | {"tokens_predicted": texts[0].tokens})
        ended = _infill(texts[0], answered, asked, model=model, count=count) | {"content": ""}
        yield json.dumps(_fields(ended, asked.fields))
        return
    envelope = _envelope(asked, model)
    for at, one in enumerate(texts):
        yield json.dumps(envelope | {"choices": [_choice(asked, at, one, whole=False)]})
    if asked.usage:
        yield json.dumps(envelope | {"choices": [], "usage": _usage(asked, texts, count)})
    yield "[DONE]"


def _read_infill(
    body: Mapping[str, Any], *, stream: bool, stops: tuple[str, ...], effort: float
) -> CompletionRequest:
    """Parse a request for llama.cpp's server; fields about its own sampling are ignored."""
    for name in ("input_prefix", "input_suffix"):
        if not isinstance(body.get(name), str):
            raise ValueError(f'"{name}" is required')
    # A llama.cpp model continues the prompt, which holds the start of the line with the cursor.
    before = body["input_prefix"] + _text(body, "prompt")
    extra = body.get("input_extra") or []
    if not isinstance(extra, list) or len(extra) > _EXTRA:
        raise ValueError(f"input_extra must be a list of at most {_EXTRA} chunks")
    others = []
    for chunk in extra:
        if not isinstance(chunk, dict) or not isinstance(chunk.get("text"), str):
            raise ValueError('extra_context chunk must contain a "text" field with a string value')
        others.append(Passage(readable(_text(chunk, "filename")), (readable(chunk["text"]),)))
    most = _number(body, "n_predict", -1, least=-1)
    milliseconds = _number(body, "t_max_predict_ms", -1, least=-1)
    request = _request(before, body["input_suffix"], others, body, count=1, effort=effort)
    fields = body.get("response_fields")
    return CompletionRequest(
        "infill",
        request if most else None,
        readable(before),
        most=None if most < 0 else most,
        seconds=milliseconds / 1000 if milliseconds > 0 else None,
        stops=stops,
        stream=stream,
        fields=tuple(map(str, fields)) if isinstance(fields, list) and fields else None,
    )


def _request(
    before: str,
    after: str,
    others: list[Passage] | tuple[()],
    body: Mapping[str, Any],
    *,
    count: int,
    effort: float,
) -> InfillRequest:
    parts = (readable(before), Hole(), readable(after))
    near = Passage("", tuple(part for part in parts if part != ""))
    seed = _number(body, "seed", 0)
    return InfillRequest(
        (near, *others),
        effort=effort,
        seed=max(0, seed) % 2**63,  # llama.cpp's -1 means any seed
        candidates=count if count > 1 else None,
    )


def _unmarked(prompt: str) -> tuple[str, str]:
    """Split a prompt with special tokens into the text before and behind the hole.

    Without them, all of it is before.
    """
    for first, second, third in _MARKS:
        if prompt.startswith(first) and prompt.endswith(third) and second in prompt:
            before, _, after = prompt[len(first) : -len(third)].partition(second)
            return before, after
    return prompt, ""


def _texts(asked: CompletionRequest, answered: Answered) -> list[_Text]:
    """Return as many answers as requested; the best are repeated if there are fewer."""
    drafts = answered.drafts or (Draft((), (), ()),)
    return [_cut(drafts[at % len(drafts)], asked, answered) for at in range(asked.count)]


def _cut(draft: Draft, asked: CompletionRequest, answered: Answered) -> _Text:
    """Cut a draft off at the token limit and before the first stop text."""
    pieces = draft.pieces if asked.most is None else draft.pieces[: asked.most]
    text = "".join(pieces)
    found = [(at, stop) for stop in asked.stops if (at := text.find(stop)) >= 0]
    echoed = asked.before if asked.echo else ""
    if found:
        end, word = min(found)
        return _Text(echoed + text[:end], len(pieces), "word", word)
    whole = len(pieces) == len(draft.pieces) and answered.settled
    return _Text(echoed + text, len(pieces), "eos" if whole else "limit")


def _choice(asked: CompletionRequest, at: int, one: _Text, *, whole: bool) -> dict[str, Any]:
    ended = "length" if one.ended == "limit" else "stop"
    if asked.form == "completions":
        said: dict[str, Any] = {"text": one.text, "logprobs": None}
    else:
        said = {"message" if whole else "delta": {"role": "assistant", "content": one.text}}
    return {"index": at} | said | {"finish_reason": ended}


def _envelope(asked: CompletionRequest, model: str) -> dict[str, Any]:
    kinds = {"completions": "text_completion", "fim": "chat.completion"}
    kind = kinds[asked.form] + (".chunk" if asked.form == "fim" and asked.stream else "")
    name = f"cmpl-{uuid.uuid4().hex}"
    return {"id": name, "object": kind, "created": int(time.time()), "model": model}


def _usage(
    asked: CompletionRequest, texts: list[_Text], count: Callable[[str], int]
) -> dict[str, int]:
    prompt, completion = _prompt_tokens(asked, count), sum(one.tokens for one in texts)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _infill(
    one: _Text,
    answered: Answered,
    asked: CompletionRequest,
    *,
    model: str,
    count: Callable[[str], int],
) -> dict[str, Any]:
    prompt = _prompt_tokens(asked, count)
    return {
        "index": 0,
        "content": one.text,
        "tokens": [],
        "id_slot": 0,
        "stop": True,
        "model": model,
        "tokens_predicted": one.tokens,
        "tokens_evaluated": prompt,
        "has_new_line": "\n" in one.text,
        "truncated": False,
        "stop_type": one.ended,
        "stopping_word": one.word,
        "tokens_cached": prompt + one.tokens,
        "timings": {
            "cache_n": 0,
            **_timings("prompt", prompt, answered.read),
            **_timings("predicted", one.tokens, answered.refined),
        },
    }


def _timings(what: str, tokens: int, seconds: float) -> dict[str, float]:
    milliseconds = 1000 * seconds
    return {
        f"{what}_n": tokens,
        f"{what}_ms": milliseconds,
        f"{what}_per_token_ms": milliseconds / tokens if tokens else 0.0,
        f"{what}_per_second": tokens / seconds if seconds > 0 else 0.0,
    }


def _fields(table: dict[str, Any], wanted: tuple[str, ...] | None) -> dict[str, Any]:
    """Select fields of the answer; those of an inner table are given by their path."""
    if wanted is None:
        return table
    flat = table | {f"timings/{name}": value for name, value in table["timings"].items()}
    return {name: flat[name] for name in wanted if name in flat}


def _prompt_tokens(asked: CompletionRequest, count: Callable[[str], int]) -> int:
    passages = asked.request.passages if asked.request else ()
    return sum(count(part) for one in passages for part in one.parts if isinstance(part, str))


def _stops(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or len(stops) > _STOPS:
        raise ValueError(f"stop must be at most {_STOPS} texts")
    if not all(isinstance(one, str) for one in stops):
        raise ValueError("stop must be texts")
    return tuple(one for one in stops if one)


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text")
    return value


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if not isinstance(value, bool | None):
        raise ValueError(f"{name} must be true or false")
    return value is True


def _number(
    body: Mapping[str, Any], name: str, default: int, *, least: int = -(2**63), most: int = 2**63
) -> int:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number, {least} to {most}")
    return value
