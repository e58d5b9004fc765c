"""The held-out texts that a model is judged on: those that ship, or those of a built corpus.

The ones that ship were chosen by `python -m dgedit_engine.eval.ship`; HELDOUT.md and
HELDOUT-LANGUAGES.md say whose they are. Knows nothing of spans.
"""

from __future__ import annotations

from pathlib import Path

from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.excerpts import Excerpts, Texts

SHIPPED = Path(__file__).with_name("heldout.jsonl.xz")
"""The file that ships: a JSON line for each text."""

OTHERS = Path(__file__).with_name("heldout-languages.jsonl.xz")
"""The same for other languages than Python."""

LANGUAGES = ("javascript", "typescript", "go", "rust")
"""Names of these languages."""


def held_out(folder: Path | None) -> Texts:
    """Open the held-out split of a built corpus, or the texts that ship: None is Python's, a name
    of LANGUAGES that language's.

    Raises OSError, one line naming the folder, for one that holds none.
    """
    if folder is None:
        return Excerpts(SHIPPED)
    if str(folder) in LANGUAGES:
        return Excerpts(OTHERS, str(folder))
    try:
        texts = Corpus(folder, "heldout")
    except (ValueError, EOFError) as error:  # an empty or cut-off file
        raise OSError(f"{folder}: {error}") from error
    if not len(texts):
        raise OSError(f"{folder}: no held-out text to fill")
    return texts
