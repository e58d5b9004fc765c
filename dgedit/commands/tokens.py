"""Count the tokens of a text without opening the model.

Reads only the vocabulary, which takes 0.1 s for one of 262,144 tokens, and no tensor library.
"""

from __future__ import annotations

from collections.abc import Callable

from dgedit.errors import EngineError
from dgedit.models import nano, store
from dgedit.models.names import NANO
from dgedit_engine.types import ModelError


def counter(model: str | None) -> Callable[[str], int] | None:
    """Return a function that counts a model's tokens.

    None if the vocabulary is not a file of its own, as in GGUF, or does not exist yet, as nano's
    before it was first opened. Raises EngineError if there is no such model, or its vocabulary is
    unreadable.
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
