"""Count the names that Python with a filled hole reads and nothing binds.

A name that is read behind the hole, and bound nowhere, has to be bound in it; one that only the
infill reads is mostly a wrong one. By Python's own symbol tables, of the top-level statement around
the hole alone; of the rest of the file it matters only which names it binds or reads. Where that
cannot be told, in a file with a star import or with errors, nothing is counted. Knows texts;
neither tokens nor models.
"""

from __future__ import annotations

import builtins
import re
import symtable
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dgedit_engine.decode.faults import indentation
from dgedit_engine.decode.statements import statement_starts
from dgedit_engine.decode.syntax import is_python
from dgedit_engine.prompt.plain import Surroundings
from dgedit_engine.types import Hole, InfillRequest

_KNOWN = frozenset(dir(builtins)) | {
    *("__file__", "__path__", "__annotations__", "__builtins__", "__class__", "__module__"),
    *("__qualname__", "WindowsError", "unicode", "basestring", "xrange", "raw_input", "reduce"),
}
"""Names that need not be bound: Python's own, and old ones that files ask for by trying."""

_STAR = re.compile(r"^\s*from\s+\S+\s+import\s+\*", re.MULTILINE)
_WORD = re.compile(r"[^\W\d]\w*")
_LONGEST = 24_000  # characters of a statement: its names take 7 ms, for each candidate
_FIRST = 2  # names for which ways to bind them are given
_PARSED = 200_000  # characters of the rest of a file; of a longer one, every word counts as bound


@dataclass(frozen=True, slots=True)
class Names:
    """The names that the text around a hole gives and asks for."""

    before: str
    """From the start of the top-level statement around the hole to the hole."""
    behind: str
    """From the hole to that statement's end."""
    known: frozenset[str]
    """Names that need not be bound here: the rest of the file binds them, or they are given."""
    asked: frozenset[str]
    """Names that the rest of the file reads, and that the hole might bind."""
    missing: frozenset[str]
    """Names that are read and not bound where the hole says nothing."""

    def unbound(self, text: str) -> int:
        """Return how many names are read and not bound, with `text` in the hole; what does not
        parse there binds none.
        """
        table = _table(self.before + text + self.behind)
        return len(self.missing if table is None else _unbound(table, self.known, self.asked))

    def bindings(self, place: Surroundings, text: str = "") -> list[str]:
        """Return how a text might go on behind the lines `text` in the hole, or begin, that binds
        names for what is behind the hole: those that are read there first. None where no statement
        begins at the hole.
        """
        missing = self.missing
        if text:
            table = _table(self.before + text + self.behind)
            missing = _unbound(table, self.known, self.asked) if table else missing
            place = replace(place, before=place.before + text, present="")
        if place.line.strip() or not missing:
            return []
        margin, opens = _statement(place)
        uses = {match[0]: match for match in reversed([*_WORD.finditer(self.behind)])}
        first = sorted(missing & uses.keys(), key=lambda one: uses[one].start())
        binds = {one: _binding(one, self.behind[uses[one].end() :]) for one in first}
        if opens:
            called = [one for one in first if binds[one].startswith("def")]
            items = [one for one in first if one not in called][:_FIRST]
            starts = [binds[one] for one in called[:1]]
            starts += [f"for {', '.join(items)} in"] if items else []
        else:
            starts = [binds[one] for one in first[:_FIRST]]
        return [margin + start for start in starts]


def names_of(request: InfillRequest, hole: int, filled: Sequence[str]) -> Names | None:
    """Return the names around a request's hole of that number, those before it `filled`; None where
    nothing can be told of them, as where another hole of the file is still to be filled.
    """
    first = 0
    for passage in request.passages:
        count = len(passage.holes)
        if hole < first + count:
            break
        first += count
    if hole != first + count - 1:
        return None
    left = iter(filled[first:hole])
    parts = [next(left, None) if isinstance(part, Hole) else part for part in passage.parts]
    at = parts.index(None)  # the last hole
    before, behind = (
        "".join(part or "" for part in some) for some in (parts[:at], parts[at + 1 :])
    )
    return names_around(passage.path, passage.above + before, behind + passage.below)


def names_around(path: str, before: str, behind: str) -> Names | None:
    """Return the names of a Python file, the text before and behind a hole; None where nothing can
    be told of them.
    """
    if not is_python(path) or _STAR.search(before) or _STAR.search(behind):
        return None
    line = before.rfind("\n") + 1
    start = max(
        (one for one in statement_starts(before) if one is not None and one <= line), default=0
    )
    first = len(before) - start + behind.find("\n")  # the hole's last line goes on to there
    starts = statement_starts(before[start:] + behind)
    after = [one for one in starts if one is not None and one > first]
    # with the next statement, whose decorator the hole may be
    end = after[1] - (len(before) - start) if len(after) > 1 else len(behind)
    if len(before) - start + end > _LONGEST:
        return None
    inner, outer = before[start:], behind[:end]
    rest = before[:start] + "\n" + behind[end:]
    table = _table(rest) if len(rest) <= _PARSED else None
    bound, read = (set(_WORD.findall(rest)), set[str]()) if table is None else _names(table)
    if _is_in_block(inner):  # what the rest reads and does not bind is given somehow
        bound, read = bound | read, set()
    known, asked = _KNOWN | bound, frozenset(read)
    tables = (_table(inner + one + outer) for one in _nothing(Surroundings(inner, outer)))
    told = next((table for table in tables if table is not None), None)
    missing = _unbound(told, known, asked) if told else frozenset()
    return Names(inner, outer, known, asked, missing)


def _nothing(place: Surroundings) -> Iterator[str]:
    """Yield texts for a hole that bind nothing; one of them parses, mostly."""
    yield ""
    margin, opens = _statement(place)
    yield f"{margin}if 1:\n" if opens else f"{margin}pass\n"
    yield from ("pass", "None", "(", ")", "]", "}")


def _unbound(
    table: symtable.SymbolTable, known: frozenset[str], asked: frozenset[str]
) -> frozenset[str]:
    bound, read = _names(table)
    return frozenset((read | asked) - bound - known)


def _binding(name: str, behind: str) -> str:
    """Return the start of a statement that binds a name, by what stands behind its first use."""
    if behind.startswith(".") and name in sys.stdlib_module_names:
        return f"import {name}"
    return f"def {name}(" if behind.startswith("(") else f"{name} ="


def _statement(place: Surroundings) -> tuple[str, bool]:
    """Return what indents a statement that begins at a hole, less what stands there already, and
    whether it has to open a block.
    """
    above = next((line for line in reversed(place.before.split("\n")) if line.strip()), "")
    behind = next((line for line in place.behind.split("\n") if line.strip()), "")
    outer, inner = _margin(above), _margin(behind)
    if above.rstrip().endswith(":"):
        depths = {len(_margin(line)) for line in place.before.split("\n") if line.strip()}
        step = min((depth for depth in depths if depth), default=4)
        outer += outer[:1] * step or " " * step
    if not place.line and len(inner) > len(outer):
        return outer, True
    if place.line:
        return "", len(inner) > len(place.line)
    return indentation(place.present, place.before, place.behind), False


def _margin(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _is_in_block(before: str) -> bool:
    """Say whether a hole behind `before` is in a block, as far as its line or the last tells."""
    lines = [line for line in before.split("\n") if line.strip()][-1:]
    line = before.rpartition("\n")[2] or "".join(lines)
    return line[:1].isspace() or line.rstrip().endswith(":")


def _table(text: str) -> symtable.SymbolTable | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return symtable.symtable(text, "", "exec")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _names(table: symtable.SymbolTable) -> tuple[set[str], set[str]]:
    """Return the names that a module binds, and the global ones that it reads."""
    bound: set[str] = set()
    read: set[str] = set()
    for scope in _scopes(table):
        top = scope.get_type() == "module"
        for symbol in scope.get_symbols():
            binds = symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
            if binds and (top or symbol.is_declared_global()):
                bound.add(symbol.get_name())
            if symbol.is_referenced() and (top or symbol.is_global()):
                read.add(symbol.get_name())
    return bound, read


def _scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _scopes(child)
