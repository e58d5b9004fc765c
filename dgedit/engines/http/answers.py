"""Write the answers of the completion protocols that code editors use, whole or as events.

Knows texts and JSON; neither engines nor connections.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dgedit.engines.http.completions import CompletionRequest
from dgedit.engines.http.cutting import CutText, Cutting
from dgedit_engine.types import Draft


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
    sent: int = 0
    """Characters of the first answer that were sent already."""


def cutting(asked: CompletionRequest, count: Callable[[str], int]) -> Cutting:
    """Return how the answers to a request are cut off."""
    return Cutting(asked.most, asked.stops, count)


def compact(value: object) -> str:
    """Return a value as JSON without blanks: llama.vim looks for `"content":"` in an answer."""
    return json.dumps(value, separators=(",", ":"))


class Answer:
    """An answer that is being written."""

    def __init__(
        self, asked: CompletionRequest, *, model: str, count: Callable[[str], int]
    ) -> None:
        """`count` returns the number of tokens of a text."""
        self._asked, self._model, self._count = asked, model, count
        self._llama = asked.form in ("infill", "completion")
        self._envelope = {} if self._llama else _envelope(asked, model)

    def whole(self, answered: Answered) -> object:
        """Return the JSON of all of it."""
        asked, texts = self._asked, self._texts(answered)
        if self._llama:
            found = [self._ended(at, one, answered) for at, one in enumerate(texts)]
            return found[0] if asked.count == 1 else found
        choices = [
            self._choice(at, self._echoed + one.text, one, whole=True)
            for at, one in enumerate(texts)
        ]
        return self._envelope | {"choices": choices, "usage": self._usage(texts)}

    def begun(self, cut: CutText, *, first: bool) -> Iterator[str]:
        """Yield events for a part of the first answer."""
        yield self._part(0, (self._echoed if first else "") + cut.text, cut)

    def ended(self, answered: Answered) -> Iterator[str]:
        """Yield the events for what was not sent yet, up to the last one."""
        for at, one in enumerate(texts := self._texts(answered)):
            sent = 0 if at else answered.sent
            rest = ("" if sent else self._echoed) + one.text[sent:]
            if self._llama:
                if rest:
                    yield self._part(at, rest, one)
                yield compact(self._ended(at, one, answered, text=""))
            else:
                choice = self._choice(at, rest, one, whole=False)
                yield compact(self._envelope | {"choices": [choice]})
        if not self._llama:
            if self._asked.usage:
                yield compact(self._envelope | {"choices": [], "usage": self._usage(texts)})
            yield "[DONE]"

    @property
    def _echoed(self) -> str:
        return self._asked.before if self._asked.echo else ""

    def _texts(self, answered: Answered) -> list[CutText]:
        """Return as many answers as requested; the best are repeated if there are fewer."""
        drafts = answered.drafts or (Draft((), (), ()),)
        how, every = cutting(self._asked, self._count), range(self._asked.count)
        return [how.cut(drafts[at % len(drafts)].pieces, whole=answered.settled) for at in every]

    def _part(self, at: int, text: str, cut: CutText) -> str:
        """Return the event for a part of an answer that goes on."""
        if self._llama:
            part = {"index": at, "content": text, "tokens": [], "stop": False, "id_slot": 0}
            return compact(part | {"tokens_predicted": cut.tokens})
        return compact(self._envelope | {"choices": [self._choice(at, text, None, whole=False)]})

    def _choice(self, at: int, text: str, cut: CutText | None, *, whole: bool) -> dict[str, Any]:
        """Return an answer, or a part of it, after which it goes on where there is no `cut`."""
        ended = None if cut is None else "length" if cut.ended == "limit" else "stop"
        if self._asked.form == "completions":
            said: dict[str, Any] = {"text": text, "logprobs": None}
        else:
            said = {"message" if whole else "delta": {"role": "assistant", "content": text}}
        return {"index": at} | said | {"finish_reason": ended}

    def _usage(self, texts: list[CutText]) -> dict[str, int]:
        prompt, completion = self._prompt_tokens, sum(one.tokens for one in texts)
        total = prompt + completion
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": total,
        }

    def _ended(
        self, at: int, one: CutText, answered: Answered, *, text: str | None = None
    ) -> dict[str, Any]:
        """Return the fields of llama.cpp's answer that are wanted, its text replaced by `text`."""
        prompt = self._prompt_tokens
        table = {
            "index": at,
            "content": one.text if text is None else text,
            "tokens": [],
            "id_slot": 0,
            "stop": True,
            "model": self._model,
            "tokens_predicted": one.tokens,
            "tokens_evaluated": prompt,
            "has_new_line": "\n" in one.text,
            "truncated": False,
            "stop_type": one.ended,
            "stopping_word": one.word,
            # what said so before `stop_type` did
            "stopped_eos": one.ended == "eos",
            "stopped_limit": one.ended == "limit",
            "stopped_word": one.ended == "word",
            "tokens_cached": prompt + one.tokens,
            "timings": {
                "cache_n": 0,
                **_timings("prompt", prompt, answered.read),
                **_timings("predicted", one.tokens, answered.refined),
            },
        }
        return _fields(table, self._asked.fields)

    @cached_property
    def _prompt_tokens(self) -> int:
        passages = self._asked.request.passages if self._asked.request else ()
        parts = (part for one in passages for part in one.parts)
        return sum(self._count(part) for part in parts if isinstance(part, str))


def _envelope(asked: CompletionRequest, model: str) -> dict[str, Any]:
    kind = "text_completion" if asked.form == "completions" else "chat.completion"
    kind += ".chunk" if asked.form == "fim" and asked.stream else ""
    name = f"cmpl-{uuid.uuid4().hex}"
    return {"id": name, "object": kind, "created": int(time.time()), "model": model}


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
