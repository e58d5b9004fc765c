"""What an infill says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from dgedit.tui.infill.session import Fill, Stage
from dgedit.tui.infill.words import account, progress
from dgedit_engine.types import Draft, Hole, InfillRequest, Passage, Step, Stopped

from ..conftest import OpenDesk

REQUEST = InfillRequest((Passage("a.py", (Hole(),)),))


@pytest.mark.parametrize(
    ("stopped", "said"),
    [
        (None, "refining · 50% settled · 1.0 s"),
        ("settled", "ready · 1.0 s"),
        ("cap", "ready, not all settled · 1.0 s"),
    ],
)
def test_progress_tells_a_settled_infill_from_one_at_the_cap(
    stopped: Stopped | None, said: str
) -> None:
    draft = Draft(("a", "b"), (1.0, 1.0), (True, False))
    step = Step(4, 8, (draft,), last=stopped is not None, stopped=stopped, forwards=7)
    stage = Stage.READY if stopped else Stage.RUNNING
    fill = Fill(REQUEST, (), stage, step, seconds=1.0)
    assert progress(fill) == said
    cost = "4 steps · 1 tok/s · 1.0 s · 7 forwards" if stopped else "1 tok/s · 1.0 s · 7 forwards"
    assert account(fill)[0].endswith(cost)


async def test_model_is_told_paths_as_they_were_given_and_no_way_to_them(
    desk: OpenDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with desk({"a.py": b"def f():\n    pass\n", "b.py": b"def g():\n    pass\n"}) as d:
        d.select(9, 18)
        await d.press("f2", "f5")
        await d.until(lambda: bool(d.script.requests))
        (request,) = d.script.requests
        assert [passage.path for passage in request.passages] == ["a.py", "b.py"]
