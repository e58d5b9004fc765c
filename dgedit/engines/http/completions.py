"""Read the requests of the completion protocols that code editors use.

OpenAI's completions with a suffix, Mistral's fill-in-the-middle, and those of llama.cpp's server,
`/infill` and, with a prompt alone, `/completion`. A prompt alone may mark the hole (`prompts`).
Knows texts and JSON; neither engines nor connections, nor what is answered (`answers`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dgedit.engines.http.prompts import MarkedText, unmarked
from dgedit.files.document import readable
from dgedit_engine.types import Hole, InfillRequest, Passage

Form = Literal["completions", "fim", "infill", "completion"]

_ANSWERS = 8  # the most answers to one request
_STOPS = 64
_EXTRA = 256  # the most parts of other files
_FIELDS = 256
_TYPING = 1000  # milliseconds, within which an answer is wanted while somebody types
_SHOWN = 60  # characters of a wrong value that an error quotes


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


def read(form: Form, body: object, *, effort: float) -> CompletionRequest:
    """Parse a request's body. Raises ValueError, naming the field and its value, for invalid ones;
    fields about another server's own sampling are ignored.
    """
    if not isinstance(body, dict):
        raise ValueError(f"the body must be a JSON object, not {_shown(body)}")
    if form in ("infill", "completion"):
        return _read_llama(form, body, effort=effort)
    return _read_openai(form, body, effort=effort)


def _read_openai(form: Form, body: Mapping[str, Any], *, effort: float) -> CompletionRequest:
    suffix = _text(body, "suffix")
    prompt = _prompt(body)
    marked = MarkedText(prompt, suffix) if suffix else unmarked(prompt)
    count = _number(body, "n", 1, least=1, most=_ANSWERS)
    options = body.get("stream_options")
    most = _number(body, "max_tokens", -1, least=-1)
    request = _request(marked, body, count=count, effort=effort)
    return CompletionRequest(
        form,
        request if most else None,
        readable(marked.before),
        most=None if most < 0 else most,
        count=count,
        stops=_stops(body.get("stop")),
        echo=_flag(body, "echo"),
        stream=_flag(body, "stream"),
        usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _read_llama(form: Form, body: Mapping[str, Any], *, effort: float) -> CompletionRequest:
    """Parse a request for llama.cpp's server. One in a hurry gets the least effort, as what is
    asked while somebody types does elsewhere.
    """
    if form == "infill":
        for name in ("input_prefix", "input_suffix"):
            if body.get(name) is None:
                raise ValueError(f'"{name}" is required')
        # llama.cpp's model continues the prompt, which holds the start of the line with the cursor.
        before = _text(body, "input_prefix") + _text(body, "prompt")
        marked = MarkedText(before, _text(body, "input_suffix"), others=_extra(body))
    else:
        marked = unmarked(_prompt(body))
    most = _number(body, "n_predict", -1, least=-2)  # llama.cpp's -2: until its context is full
    milliseconds = _number(body, "t_max_predict_ms", -1, least=-1)
    count = _number(body, "n_cmpl", 1, least=1, most=_ANSWERS)
    hurried = 0 < milliseconds <= _TYPING
    request = _request(marked, body, count=count, effort=0.0 if hurried else effort)
    return CompletionRequest(
        form,
        request if most else None,
        readable(marked.before),
        most=None if most < 0 else most,
        seconds=milliseconds / 1000 if milliseconds > 0 else None,
        count=count,
        stops=_stops(body.get("stop")),
        stream=_flag(body, "stream"),
        fields=_fields(body.get("response_fields")),
    )


def _request(
    marked: MarkedText, body: Mapping[str, Any], *, count: int, effort: float
) -> InfillRequest:
    parts = (readable(marked.before), Hole(), readable(marked.after))
    near = Passage(readable(marked.path), tuple(part for part in parts if part != ""))
    others = [Passage(readable(path), (readable(text),)) for path, text in marked.others]
    seed = _number(body, "seed", 0)
    return InfillRequest(
        (near, *others),
        effort=effort,
        seed=max(0, seed) % 2**63,  # llama.cpp's -1 means any seed
        candidates=count if count > 1 else None,
    )


def _extra(body: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the parts of other files, each with that file's name."""
    extra = body.get("input_extra") or []
    if not isinstance(extra, list):
        raise ValueError(f"input_extra must be a list of chunks, not {_shown(extra)}")
    if len(extra) > _EXTRA:
        raise ValueError(f"input_extra must be at most {_EXTRA} chunks, not {len(extra)}")
    for chunk in extra:
        if not isinstance(chunk, dict) or not isinstance(chunk.get("text"), str):
            raise ValueError('extra_context chunk must contain a "text" field with a string value')
    return tuple((_text(chunk, "filename"), chunk["text"]) for chunk in extra)


def _prompt(body: Mapping[str, Any]) -> str:
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise ValueError(f"prompt must be one text, not {_shown(prompt)}")
    return prompt


def _fields(value: object) -> tuple[str, ...] | None:
    return _texts(value, "response_fields", most=_FIELDS) if isinstance(value, list) else None


def _stops(value: object) -> tuple[str, ...]:
    texts = _texts([value] if isinstance(value, str) else value or [], "stop", most=_STOPS)
    return tuple(one for one in texts or () if one)


def _texts(value: object, name: str, *, most: int) -> tuple[str, ...] | None:
    """Return the texts of a list; None for an empty one."""
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list of texts, not {_shown(value)}")
    if len(value) > most:
        raise ValueError(f"{name} must be at most {most} texts, not {len(value)}")
    if wrong := [one for one in value if not isinstance(one, str)]:
        raise ValueError(f"{name} must be texts, not {_shown(wrong[0])}")
    return tuple(value) or None


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text, not {_shown(value)}")
    return value


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if not isinstance(value, bool | None):
        raise ValueError(f"{name} must be true or false, not {_shown(value)}")
    return value is True


def _number(
    body: Mapping[str, Any], name: str, default: int, *, least: int = -(2**63), most: int = 2**63
) -> int:
    """Return a whole number; Vim and Lua write some of these with a point."""
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number, {least} to {most}, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    """Return a wrong value as JSON on one line, cut short; of a list or an object what it is."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    said = json.dumps(value)
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}…"
