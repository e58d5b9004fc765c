"""Take apart a prompt that marks its hole with a code model's special tokens.

Editors that know one text alone, as OpenAI's completions do, write it as the model they were set up
for was trained: Zed's prompt formats, and the templates of Continue and minuet. Some put parts of
other files before it. Knows texts alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# What stands before the text before the hole, between it and the text behind, and at the end.
_MARKS = (
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen, CodeGemma, Granite
    ("<PRE> ", " <SUF>", " <MID>"),  # Code Llama
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek
    ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),  # GLM
)
# The same where the text behind comes first.
_SWAPPED = (
    ("[SUFFIX]", "[PREFIX]", ""),  # Codestral
    ("<[fim-suffix]>", "<[fim-prefix]>", "<[fim-middle]>"),  # Seed-Coder
)
# What other files begin with: Qwen's with their paths, StarCoder's without.
_FILES = ("<|repo_name|>", "<|file_sep|>", "<file_sep>")
_FILE = re.compile(r"<\|file_sep\|>|<file_sep>")
_NAMED = re.compile(r"^\+{5} (.*)\n", re.MULTILINE)  # Codestral's


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A text with a hole."""

    before: str
    """The text before the hole."""
    after: str = ""
    """The text behind it."""
    path: str = ""
    """The file's name; empty where it is not told."""
    others: tuple[tuple[str, str], ...] = ()
    """Parts of other files, each with that file's name."""


def unmarked(prompt: str) -> MarkedText:
    """Split a prompt at its marks. Without them, all of it is before the hole."""
    for first, second, third in _SWAPPED:
        if prompt.startswith(first) and prompt.endswith(third) and second in prompt:
            after, _, before = prompt[len(first) : len(prompt) - len(third)].partition(second)
            return _named(before, after)
    for first, second, third in _MARKS:
        head, mark, rest = prompt.partition(first)
        if mark and rest.endswith(third) and second in rest and _is_files(head):
            before, _, after = rest[: -len(third)].partition(second)
            return _within(head, before, after)
    return MarkedText(prompt)


def _is_files(head: str) -> bool:
    return not head or head.startswith(_FILES)


def _within(head: str, before: str, after: str) -> MarkedText:
    """Return the text behind parts of other files, of which the last one is its own name."""
    with_names = "<|file_sep|>" in head
    found = []
    for part in _FILE.split(head)[1:]:
        path, _, text = part.partition("\n") if with_names else ("", "", part)
        found.append((path, text))
    path = found.pop()[0] if found and not found[-1][1].strip() else ""
    return MarkedText(before, after, path, tuple(found))


def _named(before: str, after: str) -> MarkedText:
    """Return the text behind others that begin with a line with their file's name."""
    if not _NAMED.match(before):
        return MarkedText(before, after)
    _, *parts = _NAMED.split(before)
    named = list(zip(parts[::2], parts[1::2], strict=True))
    path, own = named.pop()
    others = tuple((one, text.removesuffix("\n\n")) for one, text in named)
    return MarkedText(own, after, path, others)
