"""How many tokens a text is to a model, counted without the model.

Reads the vocabulary alone, which takes 0.1 s for one of 262,144 tokens, and no tensor library.
"""

from __future__ import annotations

from collections.abc import Callable

from dgedit.errors import EngineError
from dgedit.models import nano, store
from dgedit.models.names import NANO
from dgedit_engine.types import ModelError


def counter(model: str | None) -> Callable[[str], int] | None:
    """Counts a model's tokens; None for a vocabulary that is no file of its own, as in GGUF, or
    that is not there yet, as nano's before it was opened.

    Raises EngineError where there is no such model, or its vocabulary cannot be read.
    """
    name = store.resolve(model)
    folder = nano.found() if name == NANO else store.path_of(name)
    if folder is None:
        return None
    file = (folder if folder.is_dir() else folder.parent) / "tokenizer.json"
    if not file.is_file():
        return None
    from dgedit_engine.prompt.tokenizer import Tokenizer

    try:
        encode = Tokenizer(file).encode
    except ModelError as error:
        raise EngineError(str(error)) from None
    return lambda text: len(encode(text))
