"""Texts by number: the interface of a corpus, and texts that ship in one packed file.

Knows nothing of what the texts are for.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dgedit_engine.train.licensed import language_of


class Texts(Protocol):
    """Documents by number."""

    def __len__(self) -> int: ...

    def text(self, index: int) -> str:
        """Return a document."""

    def path(self, index: int) -> str:
        """Return its path inside its package's folder."""

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """The bytes of each document."""

    @property
    def nbytes(self) -> int:
        """The bytes of all documents."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A text that ships: one line of the file."""

    path: str
    """Its path inside its package's folder."""
    package: str
    """The distribution it came with."""
    licence: str
    """The licence that the distribution states."""
    text: str
    """The whole file, with whatever its head says of its authors."""


class TextList:
    """Texts in memory, by number."""

    def __init__(self, texts: Sequence[tuple[str, str]]) -> None:
        """Take each text's path and the text."""
        self._texts = texts
        sizes = [len(text.encode("utf-8", "replace")) for _, text in texts]
        self._sizes = np.array(sizes, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._texts)

    def text(self, index: int) -> str:
        """Return a text."""
        return self._texts[index][1]

    def path(self, index: int) -> str:
        """Return its path."""
        return self._texts[index][0]

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """The bytes of each text."""
        return self._sizes

    @property
    def nbytes(self) -> int:
        """The bytes of all texts."""
        return int(self._sizes.sum())


class Excerpts(TextList):
    """The texts of a file of excerpts, all or those of one language."""

    def __init__(self, file: Path, language: str | None = None) -> None:
        with lzma.open(file, "rt", encoding="utf-8", newline="\n") as lines:
            found = [Excerpt(**json.loads(line)) for line in lines]
        self.excerpts = [
            one for one in found if language is None or language_of(one.path) == language
        ]
        super().__init__([(one.path, one.text) for one in self.excerpts])
