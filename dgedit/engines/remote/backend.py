"""A `Backend` that asks a server with OpenAI's chat protocol, such as vLLM.

Where the server is a vLLM that can hold text on a canvas, holes are filled so (`pinned`). Any other
is asked for them in words (`rewrite`), and so is one that does not do as it is asked; invalid
answers are asked for again. Drafts grow as the answer comes in. Knows neither address nor key:
`endpoint` does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

from dgedit.engines.remote import pinned, rewrite, vllm
from dgedit.engines.remote.canvas import Unpinned
from dgedit.engines.remote.endpoint import Endpoint, message, said
from dgedit.engines.remote.exchange import (
    AnswerHead,
    Closed,
    Conversation,
    CutShort,
    events,
    objects,
)
from dgedit.engines.remote.rewrite import AnswerSpan, Invalid, RewriteTask
from dgedit.errors import EngineError
from dgedit.text.visible import visible
from dgedit_engine.types import Ability, Candidate, Draft, InfillRequest, Step

_ANSWERS = 3  # attempts until an answer is valid
_TOKENS = 2048  # the most of an answer, or a quarter of the model's context if that is less
_PIECES = 2 * _TOKENS  # the most accepted: a server may ignore max_tokens
_UNKNOWN = 0.5  # the confidence of text for which the server gives none
_TEMPERATURE = 0.7
_FIXED = "yet supported with diffusion"  # how vLLM refuses a temperature and a seed
_TOO_LONG = re.compile(r"context.{0,10}(length|window)|too long|maximum.{0,20}length", re.I)

log = logging.getLogger("dgedit.engine")


def connect(url: str, model: str | None) -> Remote:
    """Connect to the server at a URL. `model` is the server's name for a model, None for its first.

    Raises EngineError, in one line, if the server cannot be reached or refuses us; UsageError for
    an invalid address.
    """
    endpoint = Endpoint(url)
    known = endpoint.models()
    if model is None and not known:
        raise EngineError(f"{endpoint.host} names no model: say which by --model")
    name = model or next(iter(known))
    return Remote(endpoint, name, known, pins=vllm.pins(endpoint))


class Remote:
    """A model on a server."""

    def __init__(
        self, endpoint: Endpoint, model: str, known: dict[str, int | None], *, pins: bool = False
    ) -> None:
        """Take a server's model. `known` is the result of `Endpoint.models`, `pins` that of
        `vllm.pins`.
        """
        self._endpoint, self._model, self._known = endpoint, model, known
        self._logprobs = True  # until the server refuses them
        self._sampled = True  # whether it takes a temperature and a seed, likewise
        self._pinning = vllm.Pinning(endpoint, model) if pins else None

    @property
    def name(self) -> str:
        """The server's name for the model."""
        return visible(self._model)

    @property
    def device(self) -> str:
        """The server's name and port."""
        return self._endpoint.host

    @property
    def ability(self) -> Ability:
        """The abilities of a chat model: it follows instructions."""
        context = self._known.get(self._model) or 0
        return Ability(instructions=True, context=context, canvas=self._pinning is not None)

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        """Ask for the request's holes; closing the steps, from any thread, hangs up."""
        line = Conversation(self._endpoint.client)
        return _Steps(self._infill(request, line), line)

    def _infill(self, request: InfillRequest, line: Conversation) -> Generator[Step]:
        if request.strength == 0:
            same = tuple(Draft((hole.text,), (1.0,), (True,)) for hole in request.holes)
            yield Step(1, 1, same, last=True, stopped="unchanged")
            return
        if request.exact:
            raise EngineError(f"{self.device} has no causal reading to be exact about")
        if request.reading != "auto":
            raise EngineError(f"{self.device} reads as it does: --reading is for a model here")
        index = 0
        why = "a model in this process does"
        if self._pinning is not None:
            try:
                for step in pinned.fill(self._pinning, request, line):
                    index = step.index
                    yield step
                return
            except Unpinned as error:
                why = self._endpoint.shown(str(error))
                if error.lasting:
                    self._pinning = None
                templates = any(hole.blanks for hole in request.holes)
                if not templates:
                    log.warning("%s pins no text (%s): it is asked in words", self.device, why)
        if any(hole.blanks for hole in request.holes):
            raise EngineError(f"{self.device} fills no templates: {why}")
        yield from self._in_words(request, line, index)

    def _in_words(self, request: InfillRequest, line: Conversation, index: int) -> Generator[Step]:
        """Ask for the holes in words, behind `index` steps."""
        task = rewrite.task(request)
        valid: list[tuple[Draft, ...]] = []
        wanted = request.candidates or 1
        reason = ""
        for number in range(wanted + _ANSWERS - 1):
            answer = _Answer()
            for pieces in self._answer(line, self._body(task, request, number)):
                answer.add(pieces)
                if len(answer) > _PIECES or len(answer.text) > rewrite.LONGEST:
                    raise EngineError(f"{self.device} does not end its answer")
                index += 1
                drafts = answer.drafts(rewrite.partial(task, answer.text))
                yield Step(index, index + 1, drafts, score=_score(drafts), phase="draft")
            try:
                valid.append(_trimmed(request, answer.drafts(rewrite.whole(task, answer.text))))
            except Invalid as error:
                reason = str(error)
            if len(valid) == wanted:
                break
        if not valid:
            raise EngineError(
                f"{self.device} gave no answer of use in {number + 1} tries: {reason}"
            )
        yield _last(request, index + 1, valid)

    def _body(self, task: RewriteTask, request: InfillRequest, number: int) -> dict[str, Any]:
        """Return the body of a request for an answer; the first one, with seed 0, is greedy."""
        context = self._known.get(self._model)
        return {
            "model": self._model,
            "messages": [{"role": "user", "content": task.prompt}],
            "stream": True,
            "max_tokens": min(_TOKENS, context // 4) if context else _TOKENS,
            "temperature": _TEMPERATURE if number or request.seed else 0.0,
            "seed": (request.seed + number) % 2**31,
        }

    def _answer(self, line: Conversation, body: dict[str, Any]) -> Generator[list[_Piece]]:
        """Ask once, and yield the pieces of the answer in groups as they come."""
        with self._endpoint.words():
            asked = {**body, "logprobs": True} if self._logprobs else dict(body)
            if not self._sampled:
                del asked["temperature"], asked["seed"]
            url = f"{self._endpoint.url}/chat/completions"
            with line.ask("POST", url, asked) as (head, exchange):
                if head.status == 200:
                    kind = head.headers.get("content-type", "")
                    if not kind.startswith("text/event-stream"):
                        shown = self._endpoint.shown(kind) or "something unnamed"
                        raise EngineError(f"{self.device} answers with {shown}, not a stream")
                    yield from self._pieces(objects(events(exchange.chunks()), end="[DONE]"))
                    return
                why = said(exchange)
        if self._logprobs and head.status in (400, 422) and "logprobs" in why:
            self._logprobs = False
            yield from self._answer(line, body)
            return
        if self._sampled and head.status in (400, 422) and _FIXED in why:
            self._sampled = False
            yield from self._answer(line, body)
            return
        raise self._refusal(head, why)

    def _refusal(self, head: AnswerHead, why: str) -> EngineError:
        if head.status == 404 and self._known and self._model not in self._known:
            names = self._endpoint.shown(", ".join(self._known))
            return EngineError(f"{self.device} has no model {self.name}; it has: {names}")
        if head.status in (400, 413, 422) and _TOO_LONG.search(why):
            shown = self._endpoint.shown(why)
            return EngineError(f"the text is too long for {self.name}: {shown}")
        return self._endpoint.refusal(head, why)

    def _pieces(self, chunks: Iterator[dict[str, Any]]) -> Iterator[list[_Piece]]:
        """Yield the pieces of a stream's first choice. Raises CutShort if the stream ends early."""
        ended = None
        for chunk in chunks:
            if chunk.get("error"):
                shown = self._endpoint.shown(message(json.dumps(chunk)))
                raise EngineError(f"{self.device} failed: {shown}")
            try:
                choices = chunk["choices"]
                for choice in choices[:1]:
                    if pieces := _cut_up(choice):
                        yield pieces
                    ended = choice.get("finish_reason") or ended
            except (LookupError, TypeError, AttributeError, ValueError):
                raise CutShort("an event that is no piece of a chat") from None
        if ended is None:
            raise CutShort("its end is missing")
        if ended == "length":
            raise EngineError(f"{self.device} ends its answer after too few tokens (max_tokens)")


class _Steps(Iterator[Step]):
    """An iterator of steps that another thread may close while one is awaited."""

    def __init__(self, steps: Generator[Step], line: Conversation) -> None:
        self._steps, self._line = steps, line

    def __next__(self) -> Step:
        try:
            return next(self._steps)
        except Closed:
            raise StopIteration from None

    def close(self) -> None:
        """Hang up, and yield no more steps."""
        self._line.close()
        with contextlib.suppress(ValueError, Closed):  # running in another thread, where it ends
            self._steps.close()

    def __del__(self) -> None:
        self.close()


class _Piece(NamedTuple):
    """A piece of an answer."""

    text: str
    """Its text."""
    sure: float
    """The model's probability for it, 0 to 1."""


class _Answer:
    """An answer as far as it has arrived."""

    def __init__(self) -> None:
        self.text = ""
        self._pieces: list[_Piece] = []
        self._starts: list[int] = []

    def __len__(self) -> int:
        return len(self._pieces)

    def add(self, pieces: list[_Piece]) -> None:
        """Append pieces."""
        for piece in pieces:
            self._pieces.append(piece)
            self._starts.append(len(self.text))
            self.text += piece.text

    def drafts(self, found: tuple[AnswerSpan, ...]) -> tuple[Draft, ...]:
        """Return each hole's draft, cut out of the answer's pieces."""
        return tuple(map(self._draft, found))

    def _draft(self, found: AnswerSpan) -> Draft:
        if found.start == found.end:
            return Draft((), (), ())
        first = bisect_right(self._starts, found.start) - 1
        last = bisect_left(self._starts, found.end) - 1
        texts = [piece.text for piece in self._pieces[first : last + 1]]
        texts[-1] = texts[-1][: found.end - self._starts[last]]
        texts[0] = texts[0][found.start - self._starts[first] :]
        sure = tuple(piece.sure for piece in self._pieces[first : last + 1])
        return Draft(tuple(texts), sure, (found.closed,) * len(texts))


def _cut_up(choice: dict[str, Any]) -> list[_Piece]:
    """Split a chunk into tokens if the server gives their probabilities; else return it whole."""
    text = choice["delta"].get("content") or ""
    if not isinstance(text, str):
        raise TypeError
    tokens = [
        (str(one["token"]), math.exp(min(0.0, float(one["logprob"]))))
        for one in (choice.get("logprobs") or {}).get("content") or ()
    ]
    if "".join(token for token, _ in tokens) == text:  # false if a token is half a character
        return [_Piece(*one) for one in tokens if one[0]]
    sure = math.prod(one for _, one in tokens) ** (1 / len(tokens)) if tokens else _UNKNOWN
    return [_Piece(text, sure)] if text else []


def _trimmed(request: InfillRequest, drafts: tuple[Draft, ...]) -> tuple[Draft, ...]:
    """Return the drafts without what the model has said again of the text around its hole."""
    from dgedit_engine.decode.trimming import trimmed
    from dgedit_engine.prompt.plain import place_of

    found: list[Draft] = []
    for hole, draft in enumerate(drafts):
        found.append(trimmed(draft, place_of(request, hole, [one.text for one in found])))
    return tuple(found)


def _last(request: InfillRequest, index: int, valid: list[tuple[Draft, ...]]) -> Step:
    """Make the last step of an infill, with all valid answers as candidates, best first."""
    from dgedit_engine.decode.offers import last_step, offered

    ranked = sorted(valid, key=_score, reverse=True)
    each = [
        [Candidate(one, _score((one,)), "sample") for one in hole]
        for hole in zip(*ranked, strict=True)
    ]
    return last_step(offered(request, each), index, score=_score(ranked[0]))


def _score(drafts: tuple[Draft, ...]) -> float:
    """Return the mean log-probability of the pieces, in nats."""
    sure = [max(one, 1e-30) for draft in drafts for one in draft.confidence]
    return sum(map(math.log, sure)) / len(sure) if sure else 0.0
