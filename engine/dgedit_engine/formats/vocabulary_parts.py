"""Make the tokenizer that a folder has in parts, as Dream's do: `vocab.json`, `merges.txt` and the
added tokens of `tokenizer_config.json`. Of Qwen2's cut alone, which no file says: its classes do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenizers import Tokenizer

from dgedit_engine.files import small
from dgedit_engine.formats import vocabulary
from dgedit_engine.formats.source import named
from dgedit_engine.types import ModelError

_VOCABULARY, _MERGES, _SETTINGS = "vocab.json", "merges.txt", "tokenizer_config.json"
_CLASSES = ("DreamTokenizer", "Qwen2Tokenizer", "Qwen2TokenizerFast")
_LARGEST = 64_000_000  # bytes of a file
_MOST = 1_000_000  # tokens
_PLAIN, _SPECIAL = 1, 3  # ggml's types


def there(folder: Path) -> bool:
    """Say whether a folder has these files."""
    return all((folder / name).is_file() for name in (_VOCABULARY, _MERGES, _SETTINGS))


def read(folder: Path) -> Tokenizer:
    """Make a folder's tokenizer. Raises ModelError, naming the file, for one that is damaged or of
    another class.
    """
    with _named(folder / _SETTINGS):
        settings = small.table(folder / _SETTINGS, most=_LARGEST) or {}
        if (kind := settings.get("tokenizer_class")) not in _CLASSES:
            raise ModelError(f"tokenizer_class {kind!r:.50}, not one of {', '.join(_CLASSES)}")
        listed = settings.get("added_tokens_decoder") or {}
        added = {int(token): str(one["content"]) for token, one in listed.items()}
    with _named(folder / _VOCABULARY):
        own = small.table(folder / _VOCABULARY, most=_LARGEST) or {}
        ids = {int(token): name for name, token in own.items()} | added
        if not ids or min(ids) < 0 or max(ids) >= _MOST:
            raise ModelError(f"{len(ids)} tokens up to {max(ids, default=0)}")
    with _named(folder / _MERGES):
        text = small.text(folder / _MERGES, most=_LARGEST)
        lines = [one for one in text.split("\n") if one.strip()]
        count = range(max(ids) + 1)
        marks = [at in added or at not in ids for at in count]
        fields = {
            "model": "gpt2",
            "pre": "qwen2",
            "tokens": [ids.get(at, f"<|unused {at}|>") for at in count],
            "merges": [one for one in lines if not one.startswith("#version")],
            "token_type": [_SPECIAL if one else _PLAIN for one in marks],
        }
        return vocabulary.made({f"tokenizer.ggml.{key}": one for key, one in fields.items()})


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn what a damaged file leads to into a ModelError that names it."""
    with named(path):
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
            raise ModelError(f"missing or unusable value: {error!r:.200}") from error
