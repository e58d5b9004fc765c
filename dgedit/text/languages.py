"""Which language a file is written in, and that language's grammar.

By the file's name alone. Nothing is imported before a grammar is asked for; one that is not
installed is no grammar.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language

_LANGUAGES = {
    "python": ".py .pyi",
    "markdown": ".md .markdown",
    "json": ".json",
    "toml": ".toml",
    "yaml": ".yaml .yml",
    "html": ".html .htm",
    "css": ".css",
    "javascript": ".js .mjs .cjs .jsx",
    "rust": ".rs",
    "go": ".go",
    "sql": ".sql",
    "java": ".java",
    "bash": ".sh .bash",
    "xml": ".xml .svg",
}
_BY_SUFFIX = {suffix: name for name, all_ in _LANGUAGES.items() for suffix in all_.split()}


def known() -> list[str]:
    """The names of all languages that files are told by."""
    return sorted(_LANGUAGES)


def language_of(path: PurePath) -> str | None:
    """The name of a file's language; None when unknown."""
    return _BY_SUFFIX.get(path.suffix.lower())


@cache
def grammar_of(name: str) -> Language | None:
    """A language's grammar; None where it is not installed."""
    try:
        module = import_module(f"tree_sitter_{name}")
        from tree_sitter import Language

        return Language(module.language_xml() if name == "xml" else module.language())
    except (ImportError, AttributeError, ValueError):  # or one for another tree-sitter
        return None
