"""What the name of a file says of its text: its language, its comments, its indentation.

One table holds it all. Nothing is imported before a grammar is asked for; one that is not installed
is no grammar.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from tree_sitter import Language


class FileKind(NamedTuple):
    """What is known of files whose names are alike."""

    language: str | None = None
    """Its name, where there may be a grammar."""
    comment: tuple[str, str] | None = None
    """What begins and ends a comment; None where there are no comments."""
    indentation: Literal["tabs", "blanks", "usually tabs"] | None = None
    """What its lines need before them; None where they may have either."""


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
    """The names of all languages that files are told by."""
    return sorted(kind.language for kind in _KINDS if kind.language)


def names_of(language: str) -> list[str]:
    """Globs for the names that files of a language have."""
    names = (name for name, kind in _BY_NAME.items() if kind.language == language)
    return [f"*{name}" if name.startswith(".") else name for name in names]


def kind_of(name: str) -> FileKind:
    """What a file's name says, by all of it, by its suffix, or by what is before the first dot."""
    name = name.rpartition("/")[2].lower()
    stem, dot, _ = name.partition(".")
    ways = (name, dot + name.rpartition(".")[2], stem)
    return next((_BY_NAME[way] for way in ways if way in _BY_NAME), FileKind())


def language_of(path: PurePath) -> str | None:
    """The name of a file's language; None when unknown."""
    return kind_of(path.name).language


@cache
def grammar_of(name: str) -> Language | None:
    """A language's grammar; None where it is not installed."""
    try:
        module = import_module(f"tree_sitter_{name}")
        from tree_sitter import Language

        return Language(module.language_xml() if name == "xml" else module.language())
    except (ImportError, AttributeError, ValueError):  # or one for another tree-sitter
        return None
