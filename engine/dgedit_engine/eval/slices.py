"""Cut one function out of a package, with what it needs, as a program of its own.

The statements are the package's, unchanged and in its order; modules from which the function's own
takes something come first. A function that needs more than the standard library gives no program.
Knows nothing of tests and tasks.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dgedit_engine.train.brackets import Span
from dgedit_engine.train.spans import Outline

FUTURE = "from __future__ import annotations\n"

_BINDS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Slice:
    """A program around one function."""

    text: str
    """The program."""
    body: Span
    """The function's body, whole lines, without its docstring."""


class Package:
    """The modules of a folder of installed packages."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self._modules: dict[str, Module | None] = {}

    def module(self, name: str) -> Module | None:
        """Return the module of that dotted name, if its source is here."""
        if name not in self._modules:
            path = self.site / name.replace(".", "/")
            files = (path.with_suffix(".py"), path / "__init__.py")
            found = [file for file in files if file.exists()]
            self._modules[name] = Module(name, found[0]) if found else None
        return self._modules[name]

    def slice(self, module: str, function: str) -> Slice | None:
        """Return the program of a function; None where its module has no such function, or it needs
        too much.
        """
        needed: dict[Module, set[int]] = {}
        try:
            self._need(module, function, needed)
        except _Unfit:
            return None
        text = _joined(needed)
        body = text and _body(text, function)
        return Slice(text, body) if text and body else None

    def _need(self, name: str, wanted: str, needed: dict[Module, set[int]]) -> None:
        """Add the statements that bind `wanted` in a module, and what they use."""
        module = self.module(name)
        if module is None:
            raise _Unfit
        taken = needed.get(module, set())
        for index in module.binding.get(wanted, []):
            if index in taken:
                continue
            taken.add(index)
            statement = module.statements[index]
            for source, other in module.inner_imports(statement):
                if wanted == other:
                    self._need(source, other, needed)
            if not module.inner(index):
                _check_imports(statement)
            needed.setdefault(module, taken)
            for used in _used(statement):
                if used in module.binding:
                    self._need(name, used, needed)
        # behind what it needs
        if module in needed:
            needed[module] = needed.pop(module)
        elif wanted not in module.binding:
            raise _Unfit


class Module:
    """The statements of one module, and the names that they bind."""

    def __init__(self, name: str, file: Path) -> None:
        self.name, self.file = name, file
        self.text = file.read_text(encoding="utf-8-sig")

    @cached_property
    def statements(self) -> list[ast.stmt]:
        """Statements of the module's first level, without overloads, which bind nothing of use."""
        return [one for one in ast.parse(self.text).body if not _overload(one)]

    @cached_property
    def binding(self) -> dict[str, list[int]]:
        """The statements that bind a name, by the name."""
        found: dict[str, list[int]] = {}
        for index, statement in enumerate(self.statements):
            for name in _bound(statement):
                found.setdefault(name, []).append(index)
        return found

    def inner_imports(self, statement: ast.stmt) -> Iterator[tuple[str, str]]:
        """Yield what a statement takes from modules of its own package: module and name."""
        if not isinstance(statement, ast.ImportFrom) or not self._inner(statement):
            return
        parts = self.name.split(".")
        if self.file.name == "__init__.py":
            parts.append("")
        base = parts[: len(parts) - statement.level] if statement.level else []
        source = ".".join([*base, *([statement.module] if statement.module else [])])
        for alias in statement.names:
            if alias.asname not in (None, alias.name) or not statement.module:
                raise _Unfit
            yield source, alias.name

    def source(self, index: int) -> str:
        """Return a statement's own lines, with the comments right above it."""
        statement = self.statements[index]
        lines = self.text.split("\n")
        first = min([statement.lineno, *(one.lineno for one in _decorators(statement))]) - 1
        while first and lines[first - 1].startswith("#"):
            first -= 1
        return "\n".join(lines[first : statement.end_lineno]) + "\n"

    def inner(self, index: int) -> bool:
        """Say whether the statement takes something from its own package, which the slice holds."""
        statement = self.statements[index]
        return isinstance(statement, ast.ImportFrom) and self._inner(statement)

    def _inner(self, statement: ast.ImportFrom) -> bool:
        own = self.name.split(".", 1)[0]
        return bool(statement.level) or (statement.module or "").split(".", 1)[0] == own


class _Unfit(Exception):
    """The function needs what a program of its own cannot have."""


def _joined(needed: dict[Module, set[int]]) -> str | None:
    """Join the statements to one program; None where two modules mean different things by a
    name.
    """
    parts: list[str] = []
    owners: dict[str, tuple[Module, str]] = {}
    future = False
    for module, indexes in needed.items():
        for index in sorted(indexes):
            statement, text = module.statements[index], module.source(index)
            if module.inner(index):
                continue
            names = list(_bound(statement))
            before = [owners[name] for name in names if name in owners]
            if any(owner is not module and other != text for owner, other in before):
                return None
            if any(other == text for _, other in before):
                continue
            owners |= dict.fromkeys(names, (module, text))
            gap = "\n\n" if isinstance(statement, _BINDS) else ""
            parts.append(gap + text + gap)
        future = future or FUTURE.strip() in module.text
    text = "".join(parts)
    while "\n\n\n\n" in text:
        text = text.replace("\n\n\n\n", "\n\n\n")
    return (FUTURE + "\n" if future else "") + text.strip("\n") + "\n"


def _body(text: str, function: str) -> Span | None:
    """Return the span of the function's body, without its docstring."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    found = [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == function]
    if len(found) != 1:
        return None
    body = found[0].body[1:] if ast.get_docstring(found[0]) is not None else found[0].body
    if not body or body[0].lineno == found[0].lineno:
        return None
    lines = Outline(text).lines
    last = body[-1].end_lineno
    assert last is not None
    first = min([body[0].lineno, *(one.lineno for one in _decorators(body[0]))])
    return lines[first - 1][0], min(len(text), lines[last - 1][1] + 1)


def _bound(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement binds in its module."""
    if isinstance(statement, _BINDS):
        yield statement.name
        return
    if isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name.split(".", 1)[0]
        return
    if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
        for child in ast.iter_child_nodes(statement):
            inner = child.body if isinstance(child, ast.ExceptHandler) else [child]
            for one in inner:
                if isinstance(one, ast.stmt):
                    yield from _bound(one)
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _used(statement: ast.stmt) -> set[str]:
    """Return the names that a statement may read."""
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}


def _check_imports(statement: ast.stmt) -> None:
    """Raise `_Unfit` for an import of what is not the standard library's, unless it is tried."""
    if isinstance(statement, ast.Try):
        return
    if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
        return
    for node in ast.walk(statement):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = ["" if node.level else node.module or ""]
        if any(name.split(".", 1)[0] not in sys.stdlib_module_names for name in names):
            raise _Unfit


def _overload(statement: ast.stmt) -> bool:
    return any(ast.unparse(one).endswith("overload") for one in _decorators(statement))


def _decorators(statement: ast.stmt) -> list[ast.expr]:
    return getattr(statement, "decorator_list", [])
