"""Find the source files of packages whose licence is permissive, in the folders they come in.

Each ecosystem says its licence in a file of its own: METADATA, package.json, Cargo.toml, Debian's
copyright. What is not permissive beyond doubt is left out. Knows nothing of the files' contents.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

LANGUAGES = {
    **{".py": "python", ".go": "go", ".rs": "rust", ".json": "json", ".toml": "toml"},
    **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx"), "javascript"),
    **dict.fromkeys((".ts", ".mts", ".cts", ".tsx"), "typescript"),
    **dict.fromkeys((".c", ".h"), "c"),
    **dict.fromkeys((".sh", ".bash", ".bats"), "shell"),
    **dict.fromkeys((".yaml", ".yml"), "yaml"),
    **dict.fromkeys((".md", ".markdown"), "markdown"),
    **dict.fromkeys((".rst", ".txt"), "english"),
}
"""The language of a file, by the suffix of its name."""

PERMISSIVE = re.compile(
    r"\b(MIT(-0)?|0?BSD([- ]?[0-4]?[- ]?Clause)?|Apache|PSF|Python Software Foundation|Python-2\.0"
    r"|CNRI-Python|ISC|ISCL|zlib|Unlicense|CC0|Public Domain|HPND|Historical Permission|BSL-1\.0"
    r"|Boost Software|WTFPL|NCSA|Zope Public|ZPL|X11|Academic Free|Universal Permissive|UPL|BlueOak"
    r"|Expat)\b",
    re.IGNORECASE,
)
RESTRICTED = re.compile(
    r"GPL|General Public|Mozilla|MPL|Eclipse|EPL|EUPL|CeCILL|SSPL|BUSL|Business Source|OSL"
    r"|Commons Clause|CC.BY|Creative Commons Attr|Propriet|Commercial|Elastic|NVIDIA|Copyleft"
    r"|Other/|All rights|LicenseRef|Fair.?code|PolyForm",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that may become a document."""

    package: str
    """The distribution it came with, lower case."""
    path: str
    """Its path below the root."""
    file: Path
    """The path at which it lies."""

    @property
    def language(self) -> str:
        """The file's language, as named in LANGUAGES."""
        return language_of(self.file.name) or ""


def language_of(path: str) -> str | None:
    """Return the language of a file of that name; None for an unknown one."""
    return LANGUAGES.get(path[path.rfind(".") :].lower())


def sources(root: Path, licences: dict[str, str], dropped: Counter[str]) -> Iterator[SourceFile]:
    """Yield the files below `root` whose licence is known to be permissive; adds their packages'
    licences to `licences`.

    A root is Python's own folder of modules, one of installed packages, or one of unpacked
    packages, a folder each: source distributions, npm's, and Debian's of Go and Rust.
    """
    if (root / "os.py").exists() and (root / "ast.py").exists():
        licences["python"] = "PSF-2.0"
        for file in sorted(root.rglob("*.py")):
            path = file.relative_to(root).as_posix()
            if not path.startswith(("site-packages/", "dist-packages/")):
                yield SourceFile("python", path, file)
        return
    for info in sorted(root.glob("*.dist-info")):
        yield from _installed(root, info, licences, dropped)
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        for name, licence, place in _unpacked(folder):
            files = sorted(path for path in place.rglob("*") if path.suffix.lower() in LANGUAGES)
            files = [path for path in files if path.is_file() and not path.is_symlink()]
            if licence is None:
                dropped["licence"] += len(files)
                continue
            licences[name] = licence
            for file in files:
                yield SourceFile(name, f"{name}/{file.relative_to(place).as_posix()}", file)


def permissive(metadata: str) -> str | None:
    """Return the licence that a distribution's METADATA states, if it is permissive beyond
    doubt.
    """
    header = HeaderParser().parsestr(metadata)
    if expression := header.get("License-Expression"):
        return expression if _all_permissive(re.split(r"\s+AND\s+", expression)) else None
    classifiers = [
        text.rsplit("::", 1)[-1].strip()
        for text in header.get_all("Classifier", [])
        if text.startswith("License ::") and text.strip() != "License :: OSI Approved"
    ]
    if classifiers:
        return " AND ".join(classifiers) if _all_permissive(classifiers) else None
    name = (header.get("License") or "").strip().split("\n", 1)[0][:80]
    return name if _all_permissive([name]) else None


def _all_permissive(names: list[str]) -> bool:
    """Say whether each name, or one of its alternatives, is a permissive licence."""
    return all(
        any(
            PERMISSIVE.search(one) and not RESTRICTED.search(one)
            for one in re.split(r"\s+OR\s+", name)
        )
        for name in names
    )


def _installed(
    root: Path, info: Path, licences: dict[str, str], dropped: Counter[str]
) -> Iterator[SourceFile]:
    """Yield the Python files of an installed package."""
    record, metadata = info / "RECORD", info / "METADATA"
    if not record.exists() or not metadata.exists():
        return
    name = _normal(info.name.split("-", 1)[0])
    files = re.findall(r"^([^,\"\n]+\.py),", record.read_text(encoding="utf-8"), re.MULTILINE)
    licence = permissive(metadata.read_text(encoding="utf-8", errors="replace"))
    if licence is None:
        dropped["licence"] += len(files)
        return
    licences[name] = licence
    for path in files:
        if not path.startswith(("..", "/")) and (root / path).is_file():
            yield SourceFile(name, path, root / path)


def _unpacked(folder: Path) -> Iterator[tuple[str, str | None, Path]]:
    """Yield the packages in a folder: name, licence if it is permissive, and the folder of the
    files.
    """
    if (folder / "PKG-INFO").exists():
        text = (folder / "PKG-INFO").read_text(encoding="utf-8", errors="replace")
        yield _normal(folder.name.rsplit("-", 1)[0]), permissive(text), folder
    elif (folder / "package.json").exists():
        facts = _read_json(folder / "package.json")
        name = _normal(str(facts.get("name", folder.name)).lstrip("@").replace("/", "-"))
        yield f"npm:{name}", _npm_licence(facts), folder
    for manifest in sorted(folder.glob("usr/share/cargo/registry/*/Cargo.toml")):
        package = tomllib.loads(manifest.read_text(encoding="utf-8")).get("package", {})
        licence = str(package.get("license", "")).replace("/", " OR ")
        yield f"crate:{package.get('name')}", _expression(licence), manifest.parent
    if (go := folder / "usr/share/gocode/src").is_dir():
        yield f"go:{_normal(folder.name)}", _debian_licence(folder), go


def _npm_licence(facts: dict[str, Any]) -> str | None:
    stated = facts.get("license") or facts.get("licenses") or ""
    listed = stated if isinstance(stated, list) else [stated]
    names = [str(one.get("type", "")) if isinstance(one, dict) else str(one) for one in listed]
    return _expression(" OR ".join(names).strip("()"))


def _debian_licence(folder: Path) -> str | None:
    """Return the copyright file's licence of all but the packaging, in its machine-readable
    form.
    """
    found: set[str] = set()
    for file in folder.glob("usr/share/doc/*/copyright"):
        text = file.read_text(encoding="utf-8", errors="replace")
        for paragraph in re.split(r"\n\s*\n", text):
            files = re.match(r"Files:\s*(.*)", paragraph)
            licence = re.search(r"^License:\s*(.*)", paragraph, re.MULTILINE)
            if files and licence and not files[1].startswith("debian/"):
                found.add(licence[1].strip())
    return _expression(" AND ".join(sorted(found)))


def _expression(text: str) -> str | None:
    """Return an SPDX expression, if all that it demands is permissive."""
    text = re.sub(r"\b(and|or)\b", lambda match: match[1].upper(), text)
    return text if _all_permissive(re.split(r"\s+AND\s+", text)) else None


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
