"""Map a file's name to its language, comment syntax and indentation rules.

One table holds it all. A Tree-sitter grammar is imported only when it is asked for; one that is not
installed counts as none.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from tree_sitter import Language


class FileKind(NamedTuple):
    """The properties shared by files with similar names."""

    language: str | None = None
    """The language's name, if there may be a grammar for it."""
    comment: tuple[str, str] | None = None
    """The start and end mark of a comment; None if there is no comment syntax."""
    indentation: Literal["tabs", "blanks", "usually tabs"] | None = None
    """The required or usual indentation; None if tabs and blanks both work."""


_HASH, _SLASHES, _DASHES, _TAGS = ("#", ""), ("//", ""), ("--", ""), ("<!--", "-->")
_KINDS = {
    FileKind("python", _HASH): ".py .pyi",
    FileKind("markdown", _TAGS): ".md .markdown",
    FileKind("json"): ".json",
    FileKind("toml", _HASH): ".toml",
    FileKind("yaml", _HASH, "blanks"): ".yaml .yml",
    FileKind("html", _TAGS): ".html .htm",
    FileKind("css", ("/*", "*/")): ".css",
    FileKind("javascript", _SLASHES): ".js .mjs .cjs .jsx",
    FileKind("rust", _SLASHES): ".rs",
    FileKind("go", _SLASHES, "usually tabs"): ".go",
    FileKind("sql", _DASHES): ".sql",
    FileKind("java", _SLASHES): ".java",
    FileKind("bash", _HASH): ".sh .bash",
    FileKind("xml", _TAGS): ".xml .svg",
    FileKind(None, _HASH): ".zsh .fish .rb .pl .r .jl .ex .nix .cmake .conf .cfg .tf .ps1 "
    ".dockerfile dockerfile .gitignore .env",
    FileKind(None, _HASH, "tabs"): "makefile gnumakefile bsdmakefile .mk .mak .make",
    FileKind(None, _HASH, "usually tabs"): ".gitmodules .gitconfig",
    FileKind(None, _HASH, "blanks"): ".nim",
    FileKind(None, _SLASHES): ".ts .tsx .c .h .cc .cpp .cxx .hpp .cu .cs .kt .swift .scala .dart "
    ".php .zig .proto .scss .less .jsonc",
    FileKind(None, _SLASHES, "usually tabs"): "go.mod go.work",
    FileKind(None, _DASHES): ".lua .hs .ada .adb",
    FileKind(None, _DASHES, "blanks"): ".elm",
    FileKind(None, ("%", "")): ".tex .erl .m",
    FileKind(None, (";", "")): ".ini .lisp .el .clj .scm .asm .s",
    FileKind(None, _TAGS): ".vue",
    FileKind(None, None, "tabs"): ".tsv",
}
_BY_NAME = {name: kind for kind, names in _KINDS.items() for name in names.split()}


def known() -> list[str]:
    """Return the names of all languages in the table."""
    return sorted(kind.language for kind in _KINDS if kind.language)


def names_of(language: str) -> list[str]:
    """Globs for the names that files of a language have."""
    names = (name for name, kind in _BY_NAME.items() if kind.language == language)
    return [f"*{name}" if name.startswith(".") else name for name in names]


def kind_of(name: str) -> FileKind:
    """Look up a file's name: as a whole, by its suffix, or by what precedes the first dot."""
    name = name.rpartition("/")[2].lower()
    stem, dot, _ = name.partition(".")
    ways = (name, dot + name.rpartition(".")[2], stem)
    return next((_BY_NAME[way] for way in ways if way in _BY_NAME), FileKind())


def language_of(path: PurePath) -> str | None:
    """Return the name of a file's language; None if unknown."""
    return kind_of(path.name).language


@cache
def grammar_of(name: str) -> Language | None:
    """Return a language's grammar; None if it is not installed."""
    try:
        module = import_module(f"tree_sitter_{name}")
        from tree_sitter import Language

        return Language(module.language_xml() if name == "xml" else module.language())
    except (ImportError, AttributeError, ValueError):  # missing, or for another tree-sitter
        return None
