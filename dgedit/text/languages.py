"""Map a file's name to its language, comment syntax and indentation rules.

One table holds it all. A Tree-sitter grammar is imported only when it is asked for; one that is not
installed counts as none.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.resources import files
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
    FileKind("ruby", _HASH): ".rb .rake gemfile rakefile",
    FileKind("dockerfile", _HASH): ".dockerfile dockerfile containerfile",
    FileKind("make", _HASH, "tabs"): "makefile gnumakefile bsdmakefile .mk .mak .make",
    FileKind("typescript", _SLASHES): ".ts .mts .cts",
    FileKind("tsx", _SLASHES): ".tsx",
    FileKind("c", _SLASHES): ".c .h",
    FileKind("cpp", _SLASHES): ".cc .cpp .cxx .hh .hpp .cu",
    FileKind("swift", _SLASHES): ".swift",
    FileKind("scala", _SLASHES): ".scala .sc",
    FileKind("php", _SLASHES): ".php",
    FileKind("lua", _DASHES): ".lua",
    FileKind(
        None, _HASH
    ): ".zsh .fish .pl .r .jl .ex .nix .cmake .conf .cfg .tf .ps1 .gitignore .env",
    FileKind(None, _HASH, "usually tabs"): ".gitmodules .gitconfig",
    FileKind(None, _HASH, "blanks"): ".nim",
    FileKind(None, _SLASHES): ".cs .kt .dart .zig .proto .scss .less .jsonc",
    FileKind(None, _SLASHES, "usually tabs"): "go.mod go.work",
    FileKind(None, _DASHES): ".hs .ada .adb",
    FileKind(None, _DASHES, "blanks"): ".elm",
    FileKind(None, ("%", "")): ".tex .erl .m",
    FileKind(None, (";", "")): ".ini .lisp .el .clj .scm .asm .s",
    FileKind(None, _TAGS): ".vue",
    FileKind(None, None, "tabs"): ".tsv",
}
# The grammars whose package has several, or another name.
_FUNCTIONS = {
    "typescript": ("typescript", "language_typescript"),
    "tsx": ("typescript", "language_tsx"),
    "php": ("php", "language_php"),
    "xml": ("xml", "language_xml"),
}
# The packages whose queries a language has, if not its own alone.
_QUERIES = {
    "typescript": ("javascript", "typescript"),
    "tsx": ("javascript", "typescript"),
    "cpp": ("c", "cpp"),
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
    package, function = _FUNCTIONS.get(name, (name, "language"))
    try:
        module = import_module(f"tree_sitter_{package}")
        from tree_sitter import Language

        return Language(getattr(module, function)())
    except (ImportError, AttributeError, ValueError):  # missing, or for another tree-sitter
        return None


def query_of(name: str) -> str:
    """Return the query that names the parts of a language for highlighting, as its grammar's
    package has it; empty if it has none.
    """
    try:
        packages = [f"tree_sitter_{one}" for one in _QUERIES.get(name, (name,))]
        found = [files(package) / "queries" / "highlights.scm" for package in packages]
        return "\n".join(one.read_text("utf-8") for one in found)
    except (ImportError, OSError, ValueError):
        return ""
