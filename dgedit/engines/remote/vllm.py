"""Ask vLLM for a canvas of which the server holds some slots: `vllm_xargs`, from 0.32 on.

The prompt is the server's own chat turn, with an empty thought and an open code fence behind it;
the canvas is what stands in the fence. Tokens are the server's too (`/tokenize`, `/detokenize`), so
no vocabulary is needed here. A server that does not do as it is asked raises Unpinned, whatever
it says; one that cannot be reached raises the errors of `endpoint`. Names and shapes are those of
vllm-project/vllm: `vllm/utils/diffusion.py` checks them. Knows holes of no request.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from typing import Any

from dgedit.engines.remote.canvas import WIDTHS, PinnedCanvas, Slots, Unpinned, read, width_wanted
from dgedit.engines.remote.endpoint import Endpoint, said
from dgedit.engines.remote.exchange import Conversation

PINS = (0, 32)
"""The first version of vLLM with the arguments."""

THOUGHT = "<|channel>thought\n<channel|>"
"""An empty thought, which some of the model's chat templates leave to the model."""
TURN, PAD = "<turn|>", "<pad>"

_PATIENCE = 5.0  # seconds for a server to say its version; then it has none
_REFUSED = (400, 404, 405, 413, 422, 501)
_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})")


def pins(endpoint: Endpoint) -> bool:
    """Say whether a server says that it is a vLLM that can hold slots. Never raises."""
    line = Conversation(endpoint.client)
    timer = threading.Timer(_PATIENCE, line.close)
    timer.daemon = True
    timer.start()
    try:
        with endpoint.words(), line.ask("GET", f"{_root(endpoint)}/version") as (head, exchange):
            if head.status != 200:
                return False
            found = _VERSION.match(json.loads(exchange.body())["version"])
            return found is not None and (int(found[1]), int(found[2])) >= PINS
    except Exception:  # whatever it is, it has said no version
        return False
    finally:
        timer.cancel()


class Pinning:
    """A model on a vLLM that holds slots."""

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        self._endpoint, self._model = endpoint, model
        self._known: dict[str, list[int]] = {}
        self._most = WIDTHS[-1]  # slots of a canvas; it shrinks when the server says so
        self._fixed = False  # whether the server takes one width alone, and is not told it

    def tokens(self, line: Conversation, text: str) -> list[int]:
        """Return a text's tokens. Special tokens in it are read as such."""
        if not text:
            return []
        if text not in self._known:
            if len(self._known) > 256:
                self._known.clear()
            body = {"prompt": text, "add_special_tokens": False}
            self._known[text] = _ids(self._post(line, f"{_root(self._endpoint)}/tokenize", body))
        return self._known[text]

    def special(self, line: Conversation, name: str) -> int:
        """Return the token of a name. Raises Unpinned where the vocabulary has none."""
        ids = self.tokens(line, name)
        if len(ids) != 1:
            raise Unpinned(f"the model has no {name}")
        return ids[0]

    def prompt(self, line: Conversation, message: str, opening: str) -> list[int]:
        """Return the tokens of a turn with a message, and of an answer that begins with an empty
        thought and then `opening`.
        """
        body = {
            "messages": [{"role": "user", "content": message}],
            "add_generation_prompt": True,
            "chat_template_kwargs": {"enable_thinking": False},
        }
        turn = _ids(self._post(line, f"{_root(self._endpoint)}/tokenize", body))
        thought = self.tokens(line, THOUGHT)
        if turn[-len(thought) :] != thought:
            turn = turn + thought
        return turn + self.tokens(line, opening)

    def text(self, line: Conversation, ids: Sequence[int]) -> str:
        """Return the text of tokens."""
        if not ids:
            return ""
        body = {"tokens": list(ids)}
        found = self._post(line, f"{_root(self._endpoint)}/detokenize", body)
        try:
            text = json.loads(found)["prompt"]
        except (ValueError, LookupError, TypeError, RecursionError):
            text = None
        if not isinstance(text, str):
            raise Unpinned("it gives no text for tokens")
        return text

    def refined(
        self,
        line: Conversation,
        prompt: Sequence[int],
        canvas: PinnedCanvas,
        *,
        steps: int,
        alphabet: Sequence[int] = (),
    ) -> Slots:
        """Let a canvas be refined behind a prompt, its free slots confined to an `alphabet` if
        there is one.
        """
        width = len(canvas.ids)
        arguments: dict[str, Any] = {
            "diffusion_seed_canvas": canvas.ids,
            "diffusion_pinned": canvas.pinned,
            "diffusion_max_steps": steps,
            "diffusion_read_only": 1,  # a boolean is narrowed to this
        }
        if not self._fixed:
            arguments["diffusion_canvas_length"] = width
        body: dict[str, Any] = {
            "prompt": list(prompt),
            "max_tokens": width,
            "logprobs": 1,
            "return_token_ids": True,
        }
        if alphabet:
            body["logprob_token_ids"] = list(alphabet)
            arguments["diffusion_constrained"] = 1
        body["vllm_xargs"] = arguments
        return read(self._post(line, f"{self._endpoint.url}/completions", body), canvas)

    def adapted(self, why: str, width: int) -> bool:
        """Say whether a refusal of a canvas so wide names another width that will do; from now on
        canvases are at most, or exactly, so wide.
        """
        if width not in self.widths:  # another request was refused before
            return True
        if "async-scheduling" in why and not self._fixed:
            self._fixed = True
            return True
        if self._fixed and (wanted := width_wanted(why)) and wanted != width:
            self._most = wanted
            return True
        if "no larger than the served canvas" in why and width > WIDTHS[0]:
            self._most = max(one for one in WIDTHS if one < width)
            return True
        return False

    @property
    def widths(self) -> list[int]:
        """Slots that a canvas may have."""
        return [
            one for one in WIDTHS if one <= self._most and (one == self._most or not self._fixed)
        ]

    def _post(self, line: Conversation, url: str, body: dict[str, Any]) -> bytes:
        named = {"model": self._model, **body}
        with self._endpoint.words(), line.ask("POST", url, named) as (head, exchange):
            if head.status == 200:
                return exchange.body()
            why = said(exchange)
        if head.status in _REFUSED:
            raise Unpinned(why or f"it answers {head.status}")
        raise self._endpoint.refusal(head, why)


def _ids(body: bytes) -> list[int]:
    """Return the tokens in an answer of `/tokenize`. Raises Unpinned."""
    try:
        found = json.loads(body)["tokens"]
        if isinstance(found, list) and all(type(one) is int and one >= 0 for one in found):
            return found
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    raise Unpinned("it gives no tokens for text")


def _root(endpoint: Endpoint) -> str:
    """Return the address of what vLLM serves beside OpenAI's protocol."""
    return re.sub(r"/v\d+$", "", endpoint.url)
