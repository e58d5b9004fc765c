"""The house: which package may import which, and how large a file may be."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
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
