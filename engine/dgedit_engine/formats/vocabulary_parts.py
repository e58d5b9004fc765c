"""Make the tokenizer that a folder has in parts, as Dream's do: `vocab.json`, `merges.txt` and the
added tokens of `tokenizer_config.json`. Of Qwen2's cut alone, which no file says: its classes do.
"""

from __future__ import annotations

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
    with named(folder / _SETTINGS):
        settings = small.table(folder / _SETTINGS, most=_LARGEST) or {}
        if (kind := settings.get("tokenizer_class")) not in _CLASSES:
            raise ModelError(f"tokenizer_class {kind!r:.50}, not one of {', '.join(_CLASSES)}")
        added = {
            int(token): one["content"]
            for token, one in (settings.get("added_tokens_decoder") or {}).items()
        }
    with named(folder / _VOCABULARY):
        own = small.table(folder / _VOCABULARY, most=_LARGEST) or {}
        ids = {int(token): name for name, token in own.items()} | added
        if not ids or min(ids) < 0 or max(ids) >= _MOST:
            raise ModelError(f"{len(ids)} tokens up to {max(ids, default=0)}")
    file = small.sound(folder / _MERGES, most=_LARGEST)
    with named(file):
        lines = file.read_bytes().decode().split("\n")
        merges = [one for one in lines if one.strip() and not one.startswith("#version")]
        count = max(ids) + 1
        fields = {
            "model": "gpt2",
            "pre": "qwen2",
            "tokens": [ids.get(at, f"<|unused {at}|>") for at in range(count)],
            "merges": merges,
            "token_type": [
                _SPECIAL if at in added or at not in ids else _PLAIN for at in range(count)
            ],
        }
        return vocabulary.made({f"tokenizer.ggml.{key}": one for key, one in fields.items()})
