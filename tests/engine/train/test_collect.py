"""Source is fetched from wheels, and nothing else of them is kept or run."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from dgedit_engine.train import collect
from dgedit_engine.train.collect import LANGUAGES_LIST, PACKAGES, main

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
    assert captured.err == "collect: cannot be had: nowhere\n"
    assert captured.out.startswith("1 of 2 packages")


def test_missing_list_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path), "--packages", str(tmp_path / "none")]) == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_list_of_the_shipped_weights_has_each_name_once() -> None:
    names = PACKAGES.read_text().split()
    assert len(names) == len(set(names)) > 300
    assert names == sorted(names) and all(name == name.lower() for name in names)


def test_list_of_other_languages_holds_no_name_twice_and_says_whence() -> None:
    names = LANGUAGES_LIST.read_text().split()
    assert names == sorted(set(names)) and len(names) > 150
    assert {name.split(":")[0] for name in names} == {"npm", "debian", "source"}


def test_npm_package_is_unpacked_to_source_and_what_describes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **_: object) -> None:
        assert command[:2] == ["npm", "pack"] and command[-1] == "@shop/till"
        place = Path(command[command.index("--pack-destination") + 1])
        with tarfile.open(place / "shop-till-1.0.tgz", "w:gz") as packed:
            for name in ("package.json", "src/till.js", "logo.png", *more):
                item = tarfile.TarInfo(f"package/{name}")
                item.size = 2
                packed.addfile(item, io.BytesIO(b"{}"))

    more: list[str] = []
    monkeypatch.setattr(collect, "_run", run)
    assert collect._fetched("npm:@shop/till", out=tmp_path / "out", pip=[])
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.js*")}
    assert files == {"out/@shop-till/package.json", "out/@shop-till/src/till.js"}
    more.append("../../out.js")
    assert not collect._fetched("npm:@shop/till", out=tmp_path / "out", pip=[])
    assert not (tmp_path / "out.js").exists()
