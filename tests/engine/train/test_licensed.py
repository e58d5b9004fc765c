"""Whose files may be taken: each ecosystem's own word for its licence."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from dgedit_engine.train import corpus
from dgedit_engine.train.corpus import Corpus, build
from dgedit_engine.train.licensed import sources

COPYRIGHT = """Format: x

Files: *
Copyright: somebody
License: {licence}

Files: debian/*
License: GPL-2+
"""
BODIES = {
    "javascript": "export function step{n}(value) {{\n  return value + {n} * value.length;\n}}\n\n",
    "go": "func step{n}(value int) int {{\n\treturn value + {n}*len(names)\n}}\n\n",
    "rust": "pub fn step{n}(value: usize) -> usize {{\n    value + {n} * NAMES.len()\n}}\n\n",
}


def body(language: str, first: int = 0) -> str:
    head = "package shop\n\n" if language == "go" else ""
    return head + "".join(BODIES[language].format(n=first + n) for n in range(9))


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of unpacked packages of every kind."""
    root = tmp_path / "unpacked"
    for name, licence, number in (("free", "(MIT OR GPL-2.0)", 0), ("bound", "GPL-3.0", 100)):
        facts = {"name": f"@shop/{name}", "license": licence}
        put(root / f"npm-{name}/package.json", json.dumps(facts))
        put(root / f"npm-{name}/src/till.js", body("javascript", number))
        put(root / f"npm-{name}/dist/till.js", body("javascript", number + 50))
    for name, licence, number in (("gofree", "Expat", 0), ("gobound", "GPL-2", 100)):
        put(root / name / f"usr/share/doc/{name}/copyright", COPYRIGHT.format(licence=licence))
        put(root / name / "usr/share/gocode/src/shop/till.go", body("go", number))
    crate = root / "rust/usr/share/cargo/registry/till-1.0"
    put(crate / "Cargo.toml", '[package]\nname = "till"\nlicense = "MIT/Apache-2.0"\n')
    put(crate / "src/lib.rs", body("rust"))
    put(crate / "src/wrong.rs", body("rust", 200) + "fn (\n")
    put(root / "shop-1.0/PKG-INFO", "Metadata-Version: 2.1\nName: shop\nLicense: MIT\n")
    put(root / "shop-1.0/README.md", "# Shop\n\n" + "Words that say what it is for.\n" * 9)
    return root


def test_sources_are_those_of_permissive_packages(root: Path) -> None:
    licences: dict[str, str] = {}
    dropped: Counter[str] = Counter()
    found = {source.path for source in sources(root, licences, dropped)}
    assert "npm:shop-free/src/till.js" in found and "go:gofree/shop/till.go" in found
    assert "crate:till/src/lib.rs" in found and "shop/README.md" in found
    assert not any("bound" in path for path in found) and dropped["licence"] >= 3
    assert licences["crate:till"] == "MIT OR Apache-2.0" and licences["go:gofree"] == "Expat"


def test_build_takes_the_languages_named_and_leaves_out_what_is_built(
    root: Path, tmp_path: Path
) -> None:
    most = {"javascript": 1e6, "go": 1e6, "rust": 1e6}
    manifest = build([root], tmp_path / "out", most=most)
    read = Corpus(tmp_path / "out")
    assert {read.path(index) for index in range(len(read))} == {
        *("npm:shop-free/src/till.js", "go:gofree/shop/till.go", "crate:till/src/lib.rs"),
    }
    dropped = manifest["dropped"]
    assert isinstance(dropped, dict) and dropped["built"] == 1 and dropped["syntax"] == 1


def test_build_stops_at_the_bytes_of_a_language(root: Path, tmp_path: Path) -> None:
    manifest = build([root], tmp_path / "out", most={"go": 1e6, "javascript": 10.0})
    languages = manifest["languages"]
    assert isinstance(languages, dict) and languages["go"] > 100
    assert not languages.get("javascript")


def test_packages_held_out_by_name_train_nothing(root: Path, tmp_path: Path) -> None:
    held = sorted(corpus.HELD_OUT)
    assert "npm:luxon" in held and "boltons" in held
    put(root / "other/package.json", json.dumps({"name": "luxon", "license": "MIT"}))
    put(root / "other/src/time.js", body("javascript", 300))
    build([root], tmp_path / "out", most={"javascript": 1e6})
    split = Corpus(tmp_path / "out", "heldout")
    assert "npm:luxon/src/time.js" in {split.path(index) for index in range(len(split))}
