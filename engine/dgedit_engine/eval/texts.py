"""The held-out texts that a model is judged on: those that ship, or those of a built corpus.

The ones that ship were chosen by `python -m dgedit_engine.eval.ship`; HELDOUT.md and
HELDOUT-LANGUAGES.md say whose they are. Knows nothing of spans.
"""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.licensed import language_of

SHIPPED = Path(__file__).with_name("heldout.jsonl.xz")
"""The file that ships: a JSON line for each text."""

OTHERS = Path(__file__).with_name("heldout-languages.jsonl.xz")
"""The same of other languages than Python."""

LANGUAGES = ("javascript", "typescript", "go", "rust")
"""Those, by name."""


class Texts(Protocol):
    """Documents by number."""

    def __len__(self) -> int: ...

    def text(self, index: int) -> str:
        """The document."""

    def path(self, index: int) -> str:
        """Its path inside its package's folder."""

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
    """As the distribution states it."""
    text: str
    """The whole file, with whatever its head says of its authors."""


class Shipped:
    """The texts of a file of excerpts, all or those of one language."""

    def __init__(self, file: Path = SHIPPED, language: str | None = None) -> None:
        with lzma.open(file, "rt", encoding="utf-8", newline="\n") as lines:
            found = [Excerpt(**json.loads(line)) for line in lines]
        self.excerpts = [
            one for one in found if language is None or language_of(one.path) == language
        ]
        self._sizes = np.array([len(one.text.encode()) for one in self.excerpts], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.excerpts)

    def text(self, index: int) -> str:
        """The document."""
        return self.excerpts[index].text

    def path(self, index: int) -> str:
        """Its path inside its package's folder."""
        return self.excerpts[index].path

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """The bytes of each document."""
        return self._sizes

    @property
    def nbytes(self) -> int:
        """The bytes of all documents."""
        return int(self._sizes.sum())


def held_out(folder: Path | None) -> Texts:
    """The held-out split of a built corpus, or the texts that ship: None is Python's, a name of
    LANGUAGES that language's.

    Raises OSError, one line naming the folder, for one that holds none.
    """
    if folder is None:
        return Shipped()
    if str(folder) in LANGUAGES:
        return Shipped(OTHERS, str(folder))
    try:
        texts = Corpus(folder, "heldout")
    except (ValueError, EOFError) as error:  # an empty or cut-off file
        raise OSError(f"{folder}: {error}") from error
    if not len(texts):
        raise OSError(f"{folder}: no held-out text to fill")
    return texts
