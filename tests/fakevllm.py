"""A vLLM on loopback that holds slots of a canvas, as its documentation and tests say it does.

What it refuses, and in which words, is what `vllm/utils/diffusion.py` and its tests have, and
`SamplingParams` for a model of this kind; what it answers to a canvas is the model's own reading of
every slot, pinned ones included (`argmax_canvas`), and never an end before the canvas is full. Its
tokens are characters. Its model knows one infill, and is sure of it where it fits.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fakechat import Asked

SPECIALS = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<|channel>": 100, "<channel|>": 101}
SPECIALS |= {"<|turn>": 105, "<turn|>": 106}
NAMES = {id: name for name, id in SPECIALS.items()}
VOCABULARY = 262_144
_FIRST = 1000  # the token of the first character

KNOWN = {
    "diffusion_seed_canvas",
    "diffusion_pinned",
    "diffusion_max_steps",
    "diffusion_read_only",
    "diffusion_canvas_length",
    "diffusion_constrained",
}


def encode(text: str) -> list[int]:
    """The tokens of a text."""
    ids = []
    while text:
        name = next((one for one in SPECIALS if text.startswith(one)), text[0])
        ids.append(SPECIALS.get(name, _FIRST + ord(name[0])))
        text = text[len(name) :]
    return ids


def decode(ids: list[int]) -> str:
    """The text of tokens."""
    return "".join(NAMES.get(id) or chr((id - _FIRST) % 0x11000) for id in ids)


class Refused(Exception):
    """A request that vLLM answers with 400."""


@dataclass
class FakeVllm:
    """The server."""

    url: str = ""
    version: str = '{"version": "0.32.0"}'
    infill: str = "1234"
    """What the model writes into a hole."""
    behind: str = "\ny = 2"
    """What it writes behind it, where the end is open."""
    closing: str = "\n```"
    served: int = 256
    """Slots of its canvas."""
    asynchronous: bool = True
    """Whether it lets a canvas be narrower."""
    pins: bool = True
    """Whether it knows the arguments; one that does not takes no notice of them."""
    closed_thought: bool = True
    """Whether its chat template closes the thought."""
    spoil: Callable[[dict[str, Any]], Any] = lambda answer: answer
    """What becomes of an answer to a canvas."""
    delay: float = 0.0
    """Seconds before such an answer."""
    chat: str = "<hole 1>in words</hole 1>"
    """What it answers in words."""
    asked: list[Asked] = field(default_factory=list)
    together: int = 0
    """Canvases that were refined at a time, at most."""
    _under_way: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, path: str) -> list[dict[str, Any]]:
        """What was asked at a path."""
        return [one.body for one in self.asked if one.path == path]

    @property
    def canvases(self) -> list[dict[str, Any]]:
        """The bodies of what was asked for canvases."""
        return self.of("/v1/completions")

    def answer(self, path: str, body: dict[str, Any]) -> Any:
        """Answer a request."""
        if path == "/tokenize":
            return self._tokenized(body)
        if path == "/detokenize":
            return {"prompt": decode(body["tokens"])}
        if path == "/v1/completions":
            with self._lock:
                self._under_way += 1
                self.together = max(self.together, self._under_way)
            time.sleep(self.delay)
            try:
                return self.spoil(self._completed(body))
            finally:
                with self._lock:
                    self._under_way -= 1
        raise Refused("not found")

    def _tokenized(self, body: dict[str, Any]) -> dict[str, Any]:
        text = body.get("prompt")
        if text is None:
            assert body["add_generation_prompt"] is True
            said = "".join(f"<|turn>{m['role']}\n{m['content']}<turn|>\n" for m in body["messages"])
            text = f"<bos>{said}<|turn>model\n"
            text += "<|channel>thought\n<channel|>" * self.closed_thought
        ids = encode(text)
        return {"count": len(ids), "max_model_len": 4096, "tokens": ids, "token_strs": None}

    def _completed(self, body: dict[str, Any]) -> dict[str, Any]:
        extra = {name: value for name, value in body.get("vllm_xargs", {}).items() if self.pins}
        sampled = {"temperature": 1.0, "min_p": 0.0, "seed": None}
        if any(body.get(name, usual) != usual for name, usual in sampled.items()):
            raise Refused(
                "The temperature, min_p, seed, min_tokens, logit_bias, bad_words, and "
                "allowed_token_ids sampling parameters are not yet supported with diffusion models."
            )
        self._check(extra, body)
        width = extra.get("diffusion_canvas_length") or self.served
        seed = extra.get("diffusion_seed_canvas") or [_FIRST] * width
        pinned = set(extra.get("diffusion_pinned") or ())
        free = [slot for slot in range(width) if slot not in pinned]
        ids, sure = self._read(seed, free, body)
        ids, sure = ids[: body["max_tokens"]], sure[: body["max_tokens"]]
        tokens = [NAMES.get(id) or decode([id]) for id in ids]
        known = {
            "text_offset": [0] * len(ids),
            "tokens": tokens,
            "token_logprobs": sure,
            "top_logprobs": [{one: value} for one, value in zip(tokens, sure, strict=True)],
        }
        choice = {
            "index": 0,
            "text": "",
            "logprobs": known,
            "finish_reason": "length",
            "token_ids": ids,
        }
        return {"id": "cmpl-1", "object": "text_completion", "model": "gem", "choices": [choice]}

    def _check(self, extra: dict[str, Any], body: dict[str, Any]) -> None:
        """What `validate_diffusion_sampling_params` checks."""
        assert set(extra) <= KNOWN, extra
        width = extra.get("diffusion_canvas_length")
        if width is not None and not (_whole(width) and 0 < width <= self.served):
            raise Refused(
                "diffusion_canvas_length must be a positive integer no larger than the served "
                "canvas."
            )
        expected = width or self.served
        seed = extra.get("diffusion_seed_canvas")
        if seed is not None:
            if not isinstance(seed, list) or not all(map(_whole, seed)):
                raise Refused("diffusion_seed_canvas must be a list of token ids.")
            if not all(0 <= one < VOCABULARY for one in seed):
                raise Refused(f"diffusion_seed_canvas ids must be in [0, {VOCABULARY}).")
            if len(seed) != expected:
                raise Refused(
                    f"diffusion_seed_canvas must hold exactly {expected} ids, got {len(seed)}."
                )
        pins = extra.get("diffusion_pinned")
        if pins is not None:
            if not isinstance(pins, list) or not all(map(_whole, pins)):
                raise Refused("diffusion_pinned must be a list of canvas positions.")
            if seed is None:
                raise Refused("diffusion_pinned needs a diffusion_seed_canvas to hold.")
            if not all(0 <= one < expected for one in pins):
                raise Refused("diffusion_pinned positions must lie inside the canvas.")
        cap = extra.get("diffusion_max_steps")
        if cap is not None and not (_whole(cap) and cap > 0):
            raise Refused("diffusion_max_steps must be a positive integer.")
        if extra.get("diffusion_read_only") not in (None, 0, 1):
            raise Refused("diffusion_read_only must be a boolean (or 0/1).")
        if extra.get("diffusion_constrained") and not body.get("logprob_token_ids"):
            raise Refused(
                "diffusion_constrained needs logprob_token_ids: they are the allowed set."
            )
        if not self.asynchronous and width not in (None, self.served):
            raise Refused(
                "A diffusion_canvas_length smaller than the served canvas requires "
                "--async-scheduling."
            )

    def _read(
        self, seed: list[int], free: list[int], body: dict[str, Any]
    ) -> tuple[list[int], list[float]]:
        ids, sure = list(seed), [math.log(0.99)] * len(seed)
        allowed = body.get("logprob_token_ids") or []
        if allowed:  # argmax over the set, at pinned slots too
            ids = [one if one in allowed else allowed[0] for one in ids]
        said = encode(self.infill)
        unsure = 0.0
        if not allowed and free and free[-1] == len(seed) - 1:
            said += [*encode(self.behind + self.closing), SPECIALS["<turn|>"]]
        elif not allowed and len(said) != len(free):
            unsure = math.log(0.2)
        for slot, at in zip(free, range(len(free)), strict=True):
            ids[slot] = said[at] if at < len(said) else (0 if not unsure else encode("#")[0])
            sure[slot] = unsure or math.log(0.9)
        return ids, sure


def _whole(value: object) -> bool:
    return type(value) is int


@contextlib.contextmanager
def fakevllm() -> Iterator[FakeVllm]:
    """A server that runs meanwhile."""
    fake = FakeVllm()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.asked.append(Asked(self.path, dict(self.headers), {}))
            models = '{"data": [{"id": "gem", "max_model_len": 4096}]}'
            found = {"/v1/models": models, "/version": fake.version}.get(self.path)
            self._send(200 if found else 404, (found or "").encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.asked.append(Asked(self.path, dict(self.headers), body))
            with contextlib.suppress(OSError):
                if self.path == "/v1/chat/completions":
                    self._stream(body)
                    return
                try:
                    found = fake.answer(self.path, body)
                except Refused as error:
                    told = {"message": str(error), "type": "BadRequestError", "code": 400}
                    self._send(400, json.dumps({"error": told}).encode())
                    return
                raw = found if isinstance(found, bytes) else json.dumps(found).encode()
                self._send(200, raw)

        def _stream(self, body: dict[str, Any]) -> None:
            if {"temperature", "seed"} & set(body):
                told = {"message": "The temperature, min_p, seed sampling parameters are not yet "}
                told["message"] += "supported with diffusion models."
                self._send(400, json.dumps({"error": told}).encode())
                return
            choice = {"index": 0, "delta": {"content": fake.chat}, "finish_reason": "stop"}
            event = b"data: %s\n\ndata: [DONE]\n\n" % json.dumps({"choices": [choice]}).encode()
            self._send(200, event, "text/event-stream")

        def _send(self, status: int, raw: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
