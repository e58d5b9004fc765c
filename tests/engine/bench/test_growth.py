"""The measure of an engine's growth: requests that repeat, and a report of what they left."""

from __future__ import annotations

import json

import pytest

from dgedit_engine.bench import growth


def test_requests_repeat_and_are_of_all_sizes() -> None:
    one, same, other = ([*growth.requests(12, seed=seed, characters=900)] for seed in (0, 0, 1))
    assert one == same != other
    sizes = [
        sum(len(part) for part in each.passages[0].parts if isinstance(part, str)) for each in one
    ]
    assert max(sizes) > 4 * min(sizes) and len(one) == 12


def test_command_reports_what_has_grown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "SETTLED", 2)
    monkeypatch.setattr(growth, "_SHOWN_EVERY", 2)
    assert growth.main(["--model", "tiny", "--requests", "3", "--characters", "300"]) == 0
    *shown, last = capsys.readouterr().out.splitlines()
    report = json.loads(last)
    assert report["requests"] == 3 and len(shown) == 1 and shown[0].endswith(" of files")
    assert (
        report["tenth_mib"] > 50
        and report["most_mib"] >= report["last_mib"] > 50 < report["files_mib"]
    )
    assert report["grown_at_most"] >= report["grown"] > -0.5


def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert growth.main(["--requests", "10"]) == 2
    assert capsys.readouterr().err == "growth: 10 requests, not above 10\n"
    assert growth.main(["--model", "/nowhere"]) == 5
    assert capsys.readouterr().err.count("\n") == 1
