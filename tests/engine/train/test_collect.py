"""Source is fetched from wheels, and nothing else of them is kept or run."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from dgedit_engine.train.collect import PACKAGES, main

METADATA = "Metadata-Version: 2.1\nName: shop\nVersion: 1.0\nLicense: MIT\n"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder with one wheel."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "shop-1.0.dist-info"
    files = {
        "shop/till.py": "raise SystemExit('run')\n",
        "shop/data.bin": "x",
        f"{info}/METADATA": METADATA,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "shop/till.py,,\n",
    }
    with zipfile.ZipFile(folder / "shop-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return folder


def fetch(tmp_path: Path, index: Path, *names: str) -> int:
    packages = tmp_path / "packages.txt"
    packages.write_text("".join(f"{name}\n" for name in names))
    out, found = tmp_path / "site", ["--no-index", "--find-links", str(index)]
    return main(["--out", str(out), "--packages", str(packages), "--", *found])


def test_source_and_licence_are_kept_and_nothing_else(tmp_path: Path, index: Path) -> None:
    assert fetch(tmp_path, index, "shop") == 0
    site = tmp_path / "site"
    found = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert found == {"shop/till.py", "shop-1.0.dist-info/METADATA", "shop-1.0.dist-info/RECORD"}


def test_package_that_cannot_be_had_is_named(
    tmp_path: Path, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(tmp_path, index, "nowhere", "shop") == 1
    captured = capsys.readouterr()
    assert captured.err == "collect: no wheel of nowhere\n"
    assert captured.out.startswith("1 of 2 packages")


def test_missing_list_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path), "--packages", str(tmp_path / "none")]) == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_list_of_the_shipped_weights_has_each_name_once() -> None:
    names = PACKAGES.read_text().split()
    assert len(names) == len(set(names)) > 300
    assert names == sorted(names) and all(name == name.lower() for name in names)
