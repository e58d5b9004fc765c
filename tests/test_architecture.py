"""The house: which package may import which, and how large a file may be."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "dgedit": ROOT / "dgedit",
    "dgedit_engine": ROOT / "engine" / "dgedit_engine",
    "dgedit_kernels": ROOT / "kernels" / "dgedit_kernels",
}
FOLDERS = (*PACKAGES.values(), ROOT / "tests")
LINES = 400
HOMELESS = {"utils", "util", "helpers", "helper", "common", "base", "manager", "factory", "misc"}
FLOORS = 10
"""Files of `dgedit/tui` that may stand on each other."""
FLAT = 8
"""Files that may lie in `dgedit/tui` itself, besides `__init__.py`."""
ORDER = {
    "dgedit": (
        ("__main__",),
        ("cli",),
        ("commands",),
        ("doctor",),
        ("tui",),
        ("lsp",),
        ("engines",),
        ("models", "request"),
        ("config", "protocol"),
        ("allowed",),
        ("text", "files"),
        ("errors", "loading", "signals"),
    ),
    "dgedit.tui": (
        ("bench", "start"),
        ("app",),
        ("parts",),
        ("help",),
        ("infill",),
        ("workspace",),
        ("editor", "widgets"),
        ("terminal",),
        ("bindings",),
        ("keymap",),
    ),
    "dgedit_engine": (
        ("domains", "tune"),
        ("bench", "eval"),
        ("train",),
        ("engine", "warming"),
        ("infill", "memory"),
        ("nano",),
        ("decode", "weights"),
        ("model", "prompt"),
        ("formats",),
        ("files", "rules"),
        ("types",),
    ),
}
"""Rooms in rows, the highest first. A room may import those in the rows below its own.

`memory` stands above `decode` and `weights`: it plans what their passes and their files will take.
"""


def files(package: str) -> list[Path]:
    found = sorted(PACKAGES[package].rglob("*.py"))
    assert found
    return found


def imported(tree: ast.AST, file: Path, *, running: bool = False) -> Iterator[str]:
    """The dotted names that a file imports; `running`: only those that importing it executes."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            module = node.module or ""
            yield from (f"{module}.{name.name}" for name in node.names)
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        if not (running and (later or typing)):
            yield from imported(node, file, running=running)


@cache
def imports(file: Path, *, running: bool = False) -> set[str]:
    return set(imported(ast.parse(file.read_text()), file, running=running))


def roots(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def test_imports_are_found_in_functions_and_told_from_those_that_run() -> None:
    code = (
        "import a.b\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import c\n"
        "class K:\n    import d\n    def f(self):\n        from e import g\n"
    )
    tree = ast.parse(code)
    always = {"a.b", "typing.TYPE_CHECKING", "d"}
    assert set(imported(tree, ROOT, running=True)) == always
    assert set(imported(tree, ROOT)) == always | {"c", "e.g"}


def test_kernels_import_nothing_of_ours() -> None:
    for file in files("dgedit_kernels"):
        assert roots(imports(file)) & set(PACKAGES) <= {"dgedit_kernels"}, file


def test_engine_imports_only_the_kernels_of_ours() -> None:
    for file in files("dgedit_engine"):
        ours = roots(imports(file)) & set(PACKAGES)
        assert ours <= {"dgedit_engine", "dgedit_kernels"}, file


def test_editor_imports_no_kernels_and_no_tensors() -> None:
    for file in files("dgedit"):
        assert not roots(imports(file)) & {"dgedit_kernels", "torch", "numpy", "transformers"}, file


def test_editor_imports_only_the_engines_types_when_it_is_imported() -> None:
    for file in files("dgedit"):
        ours = {name for name in imports(file, running=True) if name.startswith("dgedit_engine")}
        assert all(name.startswith("dgedit_engine.types.") for name in ours), (file, ours)


def test_packages_import_none_of_the_tests() -> None:
    names = {path.stem for path in (ROOT / "tests").glob("*.py")} | {"tests", "pytest"}
    for package in PACKAGES:
        for file in files(package):
            assert not roots(imports(file)) & names, file


def test_types_need_the_standard_library_alone() -> None:
    names = roots(imports(PACKAGES["dgedit_engine"] / "types.py"))
    assert names <= set(sys.stdlib_module_names), names


@pytest.mark.parametrize("package", PACKAGES)
def test_private_names_stay_in_their_file(package: str) -> None:
    for file in files(package):
        for name in imports(file):
            last = name.rpartition(".")[2]
            private = last.startswith("_") and not last.endswith("__")
            assert not (private and name.split(".")[0] in PACKAGES), (file, name)


def test_a_public_class_has_a_name_of_its_own() -> None:
    named: dict[str, list[Path]] = {}
    for file in (file for package in PACKAGES for file in files(package)):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                named.setdefault(node.name, []).append(file)
    assert not {name: where for name, where in named.items() if len(where) > 1}


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name; a folder by that of its `__init__.py`."""
    found = {}
    for package, folder in PACKAGES.items():
        for file in files(package):
            parts = file.relative_to(folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = file
    return found


def room(module: str, house: str) -> str:
    """The room of a house that a module is in; "" for the house itself and for what is outside."""
    inside = module.removeprefix(f"{house}.")
    return "" if inside == module else inside.split(".")[0]


def breaches(house: str) -> set[str]:
    """Imports of a room in the same row or above, wherever in a file they are."""
    known = modules()
    rows = {name: row for row, names in enumerate(ORDER[house]) for name in names}
    found = set()
    for module, file in known.items():
        if not (here := room(module, house)):
            continue
        for name in imports(file):
            while name and name not in known:
                name = name.rpartition(".")[0]
            there = room(name, house)
            if there not in ("", here) and rows[there] <= rows[here]:
                found.add(f"{module} -> {name}")
    return found


class _Needed(ast.NodeVisitor):
    """Gathers the names that a file needs for more than to say of what type something is."""

    def __init__(self, tree: ast.AST) -> None:
        self.names: set[str] = set()
        self.visit(tree)

    def visit_Name(self, node: ast.Name) -> None:
        self.names.add(node.id)

    def visit_arg(self, node: ast.arg) -> None:
        """Leave out what a parameter is said to be."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        for part in (node.target, node.value):
            if part is not None:
                self.visit(part)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for part in (*node.decorator_list, node.args, *node.body):
            self.visit(part)

    visit_AsyncFunctionDef = visit_FunctionDef


def above(*, running: bool = False, needed: bool = False) -> dict[str, set[str]]:
    """What each module of ours imports; `needed`: only what it does something with."""
    known, found = modules(), {}
    for module, file in known.items():
        names = imports(file, running=running)
        if needed:
            used = _Needed(ast.parse(file.read_text())).names
            names = {name for name in names if name.rpartition(".")[2] in used}
        there = {name if name in known else name.rpartition(".")[0] for name in names}
        found[module] = (there & set(known)) - {module}
    return found


def test_names_in_annotations_are_told_from_those_that_are_needed() -> None:
    code = "def f(a: A, *, b: B = C) -> D:\n    e: E = F()\n    return G\nclass H(I): ...\n"
    assert _Needed(ast.parse(code)).names == {"C", "e", "F", "G", "I"}


def test_no_import_leads_back_to_its_file() -> None:
    """Not by way of functions or annotations either."""
    TopologicalSorter(above()).prepare()  # which says so if one does


def test_few_files_of_the_editor_stand_on_each_other() -> None:
    graph = {
        module: {name for name in names if name.startswith("dgedit.tui.")}
        for module, names in above(running=True, needed=True).items()
        if module.startswith("dgedit.tui.")
    }
    floors: dict[str, int] = {}
    for module in TopologicalSorter(graph).static_order():
        floors[module] = 1 + max((floors[name] for name in graph[module]), default=0)
    assert 1 < max(floors.values()) <= FLOORS


@pytest.mark.parametrize("house", ORDER)
def test_every_room_has_its_row(house: str) -> None:
    ordered = [name for row in ORDER[house] for name in row]
    assert sorted(ordered) == sorted({room(module, house) for module in modules()} - {""})


@pytest.mark.parametrize("house", ORDER)
def test_rooms_import_only_those_below(house: str) -> None:
    assert not breaches(house)


def test_few_files_lie_outside_the_rooms() -> None:
    flat = [file.stem for file in (PACKAGES["dgedit"] / "tui").glob("*.py")]
    assert len(set(flat) - {"__init__"}) <= FLAT, flat
    top = {file.stem for file in PACKAGES["dgedit_engine"].glob("*.py")}
    assert top == {"__init__", "types", "engine", "infill"}


@pytest.mark.parametrize("package", PACKAGES)
def test_folder_says_in_one_line_what_it_is_for(package: str) -> None:
    for folder in {file.parent for file in files(package)}:
        said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
        line = said.splitlines()[0] if said else ""
        assert line.endswith((".", ")")) and "TODO" not in line, (folder, line)
        assert line.split()[0] not in {"What", "Whether", "Where", "How", "Who", "Whose"}, line


def test_tests_mirror_the_packages() -> None:
    tops = {"dgedit": "dgedit", "engine": "dgedit_engine", "kernels": "dgedit_kernels"}
    for name, package in tops.items():
        top = ROOT / "tests" / name
        for folder in {file.parent for file in top.rglob("test_*.py")}:
            assert (PACKAGES[package] / folder.relative_to(top) / "__init__.py").exists(), folder


def test_architecture_page_names_files_that_exist() -> None:
    named = re.findall(r"`([\w/]+\.py)`", (ROOT / "docs" / "architecture.md").read_text())
    there = [f"/{file}" for folder in FOLDERS for file in folder.rglob("*.py")]
    missing = [name for name in named if not any(one.endswith(f"/{name}") for one in there)]
    assert named and not missing, missing


@pytest.mark.parametrize("package", ["dgedit_engine", "dgedit_kernels"])
def test_package_imports_nothing_by_itself(package: str) -> None:
    """So that `import dgedit_engine.types` stays cheap."""
    assert imports(PACKAGES[package] / "__init__.py") <= {"__future__.annotations"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_file_fits_400_lines(folder: Path) -> None:
    for file in folder.rglob("*.py"):
        assert len(file.read_text().splitlines()) <= LINES, file


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_module_has_a_noun_for_a_name(folder: Path) -> None:
    for file in folder.rglob("*.py"):
        assert file.stem.strip("_") not in HOMELESS, file
