"""Text to token ids and back, piece by piece.

A thin layer over Hugging Face's `tokenizers`: special tokens in a user's text are read as the plain
characters they are, and a run of ids becomes the pieces that a screen can show, characters that
several tokens spell kept whole.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import tokenizers

from dgedit_engine.files import small
from dgedit_engine.prompt.sorted_tokens import SortedTokens
from dgedit_engine.types import ModelError

_LONGEST_CHARACTER = 4  # bytes, and so tokens, that one code point can take
_UNFINISHED = "\ufffd"
_LINE_START = re.compile(r"(?=\r\n)|(?<!\r)(?=\n)")
_LAST = "\U0010ffff"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_PLAIN = (*range(33, 127), *range(161, 173), *range(174, 256))
_LETTERS = {chr(byte): byte for byte in _PLAIN} | {
    chr(256 + place): byte
    for place, byte in enumerate(byte for byte in range(256) if byte not in _PLAIN)
}
"""GPT-2's alphabet of bytes: those that print stand for themselves."""
_MARK = re.compile(r"<\|.+\|>|<｜.+｜>|<\[.+\]>|<fim[_-]\w+>|▁<(PRE|SUF|MID|EOT)>", re.DOTALL)
_REMEMBERED = 1 << 15  # lines
_LARGEST = 64_000_000  # bytes of a tokenizer.json; Gemma's has half of it
_LONGEST_EXPRESSION, _REPEATS, _DEEPEST = 4096, 4, 8
_ESCAPED = re.compile(r"\\[pPx]\{[^}]*\}|\\.", re.DOTALL)
_GROUP = re.compile(r"\([^()]*\)")
_SET = re.compile(r"\[\^?\]?[^\[\]]*\]")


class TokenPiece(NamedTuple):
    """The text of one token, or of the few that spell one character."""

    text: str
    """The characters; empty for a special token."""
    tokens: int
    """How many tokens they took."""


class Tokenizer:
    """Encoder and decoder with the `tokenizer.json` of a model, or with a tokenizer that is made
    already (`formats.vocabulary`).
    """

    def __init__(self, source: Path | tokenizers.Tokenizer) -> None:
        with _in_words(source if isinstance(source, Path) else None):
            self._inner = _read(source) if isinstance(source, Path) else source
        self._inner.encode_special_tokens = True
        self._hide_marks()
        self.of_bytes = "ByteLevel" in _kinds(self._inner.decoder)
        """Whether tokens are runs of bytes, white space and the word behind it among them."""
        self._decoded: dict[tuple[int, ...], str] = {}
        self._lines: dict[str, list[int]] = {}
        self._sorted: SortedTokens | None = None
        self._bytes: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return int(self._inner.get_vocab_size())

    @property
    def inner(self) -> tokenizers.Tokenizer:
        """The library's own, which says where in a text each token stands."""
        return self._inner

    def id(self, token: str) -> int | None:
        """Return the id of the token of this name, or None."""
        found = self._inner.token_to_id(token)
        return None if found is None else int(found)

    def difference(self, other: Tokenizer, *, marks: bool = False) -> str:
        """Say in words where another's vocabulary is not the same; empty where it is. With `marks`,
        tokens that were added to this one's, as a mask is, may be more than the other has.
        """
        mine, theirs = self._inner.get_vocab(), other._inner.get_vocab()
        if marks:
            added = {one.content for one in self._inner.get_added_tokens_decoder().values()}
            mine = {one: mine[one] for one in mine if one in theirs or one not in added}
        apart = [one for one in mine.keys() | theirs.keys() if mine.get(one) != theirs.get(one)]
        if not apart:
            return ""
        first = min(apart, key=lambda one: (mine.get(one, theirs.get(one, 0)), one))
        here, there = (f"token {v[first]}" if first in v else "none" for v in (mine, theirs))
        return f"{first!r:.40} is {here} in one, {there} in the other ({len(apart)} differ)"

    def texts(self) -> Iterator[tuple[str, int]]:
        """Yield each token's text and its id, in no order, without tokens that are a part of a
        character.
        """
        for name, token in self._inner.get_vocab().items():
            if (text := self._text(name)) is not None:
                yield text, int(token)

    def byte_tokens(self) -> list[int]:
        """Return the ids of the tokens that are a part of a character, in ascending order."""
        vocabulary = self._inner.get_vocab().items()
        return sorted(int(token) for name, token in vocabulary if self._text(name) is None)

    def _hide_marks(self) -> None:
        """Make marks special that a file adds as text, as Qwen2.5-Coder's does: else a user's text
        could have them.
        """
        added = self._inner.get_added_tokens_decoder().values()
        marks = [one.content for one in added if not one.special and _MARK.fullmatch(one.content)]
        self._inner.add_special_tokens(
            [tokenizers.AddedToken(one, special=True, normalized=False) for one in marks]
        )

    def _text(self, name: str) -> str | None:
        """Return the text of the token of a name; None for a part of a character."""
        if not self.of_bytes:
            return None if _BYTE.fullmatch(name) else name.replace("▁", " ")
        if not all(letter in _LETTERS for letter in name):
            return name  # one that was added
        try:
            return bytes(_LETTERS[letter] for letter in name).decode()
        except UnicodeDecodeError:
            return None

    def beginning(self, text: str) -> list[int]:
        """Return the tokens that begin with a text, and those that it begins with, if the rest of
        it has tokens too: what may stand where a prompt's last token was taken off ("token
        healing", github.com/guidance-ai/guidance). Neither special tokens nor bytes.
        """
        words = self.words()
        found = words.between(text, text + _LAST)
        for length in range(1, len(text)):
            if self._bytes.isdisjoint(self.encode(text[length:])):
                found += words.between(text[:length], text[:length] + "\0")
        return found

    def words(self) -> SortedTokens:
        """Return each token's text and its id, in the texts' order: neither special tokens nor
        bytes.
        """
        if self._sorted is None:
            marks = self._inner.get_added_tokens_decoder().items()
            special = {token for token, one in marks if one.special}
            found = array("i")  # the numbers themselves, kept, would hold 40 MB around them

            def texts() -> Iterator[tuple[str, int]]:
                for name, token in self._inner.get_vocab().items():
                    if (text := self._text(name)) is None:
                        found.append(token)
                    elif token not in special:
                        yield text, token

            self._sorted = SortedTokens(texts())
            self._bytes = frozenset(found)
        return self._sorted

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without added special tokens."""
        with _in_words():
            return list(self._inner.encode(text, add_special_tokens=False).ids)

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, encoded in parallel."""
        with _in_words():
            found = self._inner.encode_batch(list(texts), add_special_tokens=False)
        return [list(one.ids) for one in found]

    def encode_lines(self, text: str) -> list[int]:
        """Return the ids of a text, encoded line by line and remembered, for a vocabulary in which
        no token reaches across the start of a newline: after an edit only the lines that it touched
        are encoded again.
        """
        lines = _LINE_START.split(text)
        new = [line for line in dict.fromkeys(lines) if line not in self._lines]
        if len(self._lines) + len(new) > _REMEMBERED:
            self._lines.clear()
            new = list(dict.fromkeys(lines))
        with _in_words():
            encoded = self._inner.encode_batch(new, add_special_tokens=False)
        self._lines.update((line, one.ids) for line, one in zip(new, encoded, strict=True))
        return [token for line in lines for token in self._lines[line]]

    def pieces(self, ids: Sequence[int]) -> list[TokenPiece]:
        """Return the text of ids, a piece for each token; bytes that never make a character show as
        U+FFFD.
        """
        pieces, start = [], 0
        while start < len(ids):
            taken = 1
            text = self._decode(ids[start : start + 1])
            for longer in range(2, _LONGEST_CHARACTER + 1):
                if not text.endswith(_UNFINISHED) or start + longer > len(ids):
                    break
                joined = self._decode(ids[start : start + longer])
                if joined.count(_UNFINISHED) < text.count(_UNFINISHED):
                    text, taken = joined, longer
            pieces.append(TokenPiece(text, taken))
            start += taken
        return pieces

    def _decode(self, ids: Sequence[int]) -> str:
        key = tuple(ids)
        if key not in self._decoded:
            if len(self._decoded) > 1 << 16:
                self._decoded.clear()
            with _in_words():
                self._decoded[key] = str(self._inner.decode(list(key), skip_special_tokens=True))
        return self._decoded[key]


def _read(path: Path) -> tokenizers.Tokenizer:
    if not path.exists():
        raise ModelError(f"no tokenizer: {path} does not exist")
    small.sound(path, most=_LARGEST)
    try:
        found = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception for a file it cannot read
        raise ModelError(f"{path}: {error}") from error
    for part in (found.normalizer, found.pre_tokenizer, found.decoder):
        for expression in _expressions(part and json.loads(part.__getstate__())):
            if not may_be_run(expression):
                raise ModelError(f"{path}: {expression!r:.100} may take for ever on some text")
    return _as_it_is(found) if "Prepend" in _kinds(found.normalizer) else found


def _as_it_is(found: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """Return a tokenizer that neither puts a space before a text nor takes one off, as Llama 2's
    does: a part of a file is no beginning of a sentence.
    """
    raw = json.loads(found.to_str())
    for name, dropped in (("normalizer", "Prepend"), ("decoder", "Strip")):
        parts = raw[name].get(f"{name}s", []) if raw[name] else []
        parts[:] = [one for one in parts if one.get("type") != dropped]
    return tokenizers.Tokenizer.from_str(json.dumps(raw))


def may_be_run(expression: str) -> bool:
    """Say whether a tokenizer's regular expression takes time polynomial in a text's length: no
    group is repeated, each branch repeats little, nothing is called again. So are all that are
    published; the library gives up on others in the middle of a text, with words of its own on
    stderr.
    """
    plain = _ESCAPED.sub(_harmless, expression)
    for _ in range(_DEEPEST):  # from the inside out
        plain = _SET.sub("x", plain)
    if "[" in plain or "(?#" in plain or "(?x" in plain or len(expression) > _LONGEST_EXPRESSION:
        return False
    if re.search(r"\)\s*[*+{]|[*+?}]\s*[*{]|\}\s*\+", plain):
        return False
    for _ in range(_DEEPEST):
        plain = _GROUP.sub(lambda group: re.sub(r"[^*+{]", "", group[0]), plain)
    return all(len(re.findall(r"[*+{]", branch)) <= _REPEATS for branch in plain.split("|"))


def _kinds(part: Any) -> set[str]:
    """Return the types of a part of a tokenizer, and of those that it is made of."""
    waiting = [part and json.loads(part.__getstate__())]
    found = set[str]()
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            found.add(str(one.get("type")))
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found


def _harmless(escaped: re.Match[str]) -> str:
    """Replace an escape by a plain character, but a call of another part by one that is refused."""
    return "[" if escaped[0][1] in "gkKX123456789" else "x"


def _expressions(value: Any) -> Iterator[str]:
    """Yield the regular expressions in a part of a tokenizer."""
    if isinstance(value, dict):
        if isinstance(found := value.get("Regex"), str):
            yield found
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _expressions(one)


@contextmanager
def _in_words(path: Path | None = None) -> Iterator[None]:
    """Turn the library's panics, which are no Exceptions, and its bare Exceptions into a
    ModelError.
    """
    try:
        yield
    except BaseException as error:
        if type(error) is not Exception and type(error).__name__ != "PanicException":
            raise
        where = f"{path}: " if path else ""
        raise ModelError(f"{where}the tokenizer fails: {' '.join(str(error).split())}") from None
