"""The command `dgedit tune`: make a named model of a project's own text.

It knows options, words and signals; `models/tuning.py` knows the texts, the engine how an adapter
is trained and judged. The model gets its name only where it is better.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dgedit.commands import output
from dgedit.commands.long_work import polite, stoppable
from dgedit.commands.options import Device
from dgedit.commands.tune_demo import DemoPlan, train_demo
from dgedit.errors import Exit, InputError, UsageError
from dgedit.files import small
from dgedit.files.disk import in_units
from dgedit.files.paths import WorkingFolder
from dgedit.models import store, tuned
from dgedit.models.names import OURS
from dgedit.models.tuning import HeldSpan, TuningTexts, collect
from dgedit_engine.types import ModelError

if TYPE_CHECKING:
    from dgedit_engine.tune.run import Tuning, TuningStep
    from dgedit_engine.tune.verdict import Verdict

_ROOM = 300_000_000  # bytes that a run may take on the disk
_GENERAL = 6  # batches of other people's text that are measured
_SAVED = 60.0  # seconds between two states, at least
_TOLD = 60.0  # seconds between two lines where there is no terminal
_TOKEN = 3.3  # bytes of a token, about
_PLAN, _TEXTS = "plan.json", "texts.json"
_LARGEST = 1_000_000_000


def tune(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH", help="Folders or files; else this one.")
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="What the new model is called.")
    ] = "",
    base: Annotated[
        str | None, typer.Option(metavar="NAME", help="The model it is a change of; else yours.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="N", help="Minutes of training alone; else 20.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="COMMIT", help="Train on that tree, measure what came since."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run of that name.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be trained on and measured.")
    ] = False,
    demo: Annotated[
        Literal["sudoku", "graph", "protein"] | None,
        typer.Option(help="Train the model of this domain again, instead."),
    ] = None,
    keep: Annotated[
        Literal["better", "always"],
        typer.Option(metavar="WHEN", help="Name it if it is better, or always."),
    ] = "better",
    fills: Annotated[
        int, typer.Option(min=0, metavar="N", help="Spans filled before and after; else 16.")
    ] = 16,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides the order; else 0.")] = 0,
    device: Device = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print reports as JSON, a line each.")
    ] = False,
) -> int:
    """Make a new model of your own code: an adapter of nano or another base, or all of tiny.

    It is trained on the tree as it was at a commit, and measured on lines that were added since,
    or without a history on files of their own. It gets its name only if it fills those surely
    better, fills are no worse, and other people's code is not forgotten; else the exit code is 1.
    Ctrl+C ends training, then saves and measures; --resume goes on.

    \b
    dgedit tune --name mine
    dgedit fill a.py:10 --model mine
    """
    if not name:
        raise UsageError("--name says what the new model is called")
    if minutes is not None and not minutes > 0:
        raise UsageError(f"--minutes must be more than 0, not {minutes:g}")
    place, tell = store.placed(name), _Telling(as_json)
    if os.path.lexists(place):
        raise UsageError(f"{name} is a model already; take another --name, or remove that first")
    if demo is not None:
        plan = DemoPlan(demo, place, tuple(paths or ()), minutes, seed)
        return train_demo(plan, tell.line, resume=resume)
    run = tuned.unfinished(place)
    given = _given(paths or [Path()], base, since, minutes or 20.0, seed)
    if resume:
        given, texts = _resumed(run, given, name)
    else:
        if run.exists() and not dry_run:
            words = f"--resume goes on, dgedit model rm {name} removes it"
            raise UsageError(f"a run of {name} was stopped: {words}")
        known = _languages(given["base"])
    needs = _needs(given, device or "cpu")
    if not resume:
        texts = collect([Path(one) for one in given["paths"]], since=since, suffixes=known)
    tell.data(given, texts, name)
    if needs:
        tell.line(f"memory {needs}")
    if dry_run:
        return Exit.OK
    folder = store.path_of(given["base"])
    store.check_room(run, _ROOM)
    if not resume:
        _begin(run, given, texts)
    with polite(), store.engine():
        verdict, steps = _run(
            folder, run, given, texts, device or "cpu", fills, tell, resume=resume
        )
    kept = verdict.better or keep == "always"
    if kept:
        facts = {"commit": texts.commit, "files": len(texts.train), "bytes": texts.nbytes}
        facts |= {"steps": steps, "verdict": verdict.table()}
        tuned.finish(run, place, given["base"], facts)
        store.discard(run)
    tell.verdict(verdict, name, kept=kept)
    return Exit.OK if kept else Exit.NO


def _given(
    paths: list[Path], base: str | None, since: str | None, minutes: float, seed: int
) -> dict[str, Any]:
    """Return what decides a run, as it is kept beside it."""
    here = WorkingFolder.now()
    known = store.default() if base is None else base
    is_path = known not in OURS and (base is not None or "/" in known)
    if is_path and os.path.exists(known):  # it is opened from other folders too
        known = os.path.realpath(known)
    return {
        "paths": sorted(os.path.realpath(here.absolute(path)) for path in paths),
        "base": known,
        "since": since,
        "minutes": minutes,
        "seed": seed,
    }


def _languages(base: str) -> frozenset[str] | None:
    """Return the suffixes of the files that a base knows, None for any. Raises an error for one
    that is not there, or that is no base.
    """
    if store.adapter_of(None, base) is not None:
        raise UsageError(f"{base} is tuned already: tune its base on more, or another --base")
    found = store.path_of(base)
    with store.engine():
        from dgedit_engine.model.ability import load_ability
        from dgedit_engine.model.config import home, load_config
        from dgedit_engine.tune.kinds import kind_of

        load_config(found)  # what is no model at all is another error
        try:
            kind_of(found)
        except ModelError as error:
            raise UsageError(f"{base} is no base: {error}") from error
        return load_ability(home(found), instructions=False, context=0, canvas=False).languages


def _needs(given: Mapping[str, Any], device: str) -> str:
    """Say what memory a run takes, if that is planned. Raises an error where it does not fit."""
    found = store.path_of(given["base"])
    with store.engine():
        from dgedit_engine.tune.kinds import needed

        return needed(found, device, minutes=given["minutes"], seed=given["seed"])


def _begin(run: Path, given: Mapping[str, Any], texts: TuningTexts) -> None:
    """Make the folder of a run, for its owner alone: the texts are in it."""
    run.mkdir(parents=True, mode=0o700)
    held = [asdict(one) for one in texts.held]
    said = {"train": texts.train, "held": held, "commit": texts.commit}
    (run / _TEXTS).write_text(json.dumps(said), encoding="utf-8", errors="surrogatepass")
    spans = ({"path": one.path, "start": one.start, "end": one.end} for one in texts.held)
    lines = "".join(json.dumps(one) + "\n" for one in spans)
    (run / "spans.jsonl").write_text(lines, encoding="utf-8")
    (run / _PLAN).write_text(json.dumps(dict(given)), encoding="utf-8")  # last: it is whole


def _resumed(run: Path, given: Mapping[str, Any], name: str) -> tuple[dict[str, Any], TuningTexts]:
    """Read a run that was stopped. Raises InputError where there is none, or it is another's."""
    said = small.text(run / _PLAN) if run.is_dir() else None
    if said is None:
        raise InputError(f"no run of {name} to go on with: leave --resume out")
    try:
        before = json.loads(said)
        for key in ("paths", "base", "since"):
            if before[key] != given[key] and not (key == "since" and given[key] is None):
                shown = before[key][0] if key == "paths" else before[key]
                raise InputError(f"--resume: the run of {name} has another {key}: {shown}")
        raw = json.loads(small.text(run / _TEXTS, most=_LARGEST) or "")
        train = tuple((path, text) for path, text in raw["train"])
        held = tuple(HeldSpan(**one) for one in raw["held"])
        return before, TuningTexts(train, held, raw["commit"])
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{run} is damaged: dgedit model rm {name} removes it") from None


def _run(
    folder: Path,
    run: Path,
    given: Mapping[str, Any],
    texts: TuningTexts,
    device: str,
    fills: int,
    tell: _Telling,
    *,
    resume: bool,
) -> tuple[Verdict, int]:
    """Train until the time is over or Ctrl+C, save, and measure -> the verdict, and the steps."""
    from dgedit_engine.train.schedule import Diverged
    from dgedit_engine.tune.kinds import recipe_of
    from dgedit_engine.tune.learner import TunePlan
    from dgedit_engine.tune.run import Tuning

    recipe = recipe_of(folder, minutes=given["minutes"], seed=given["seed"])
    plan = TunePlan(folder, run, given["base"], recipe, device, general=_GENERAL, fills=fills)
    held = [(one.path, one.text, one.start, one.end) for one in texts.held]
    try:
        tuning = Tuning(plan, texts.train, held)
        if resume and tuning.begun:
            tuning.resume()
    except ValueError as error:
        raise InputError(str(error)) from error
    tell.before(tuning.measure_base(), tuning)
    stopped = ""
    with stoppable() as is_stopped:
        try:
            for step in _saved(tuning):
                tell.step(step, given["minutes"])
                if is_stopped():
                    stopped = "Ctrl+C"
                    break
        except Diverged as error:
            stopped = str(error)
        finally:
            tell.clear()
    tuning.save()
    tell.measuring()
    return tuning.judge(stopped), tuning.steps


def _saved(tuning: Tuning) -> Iterator[TuningStep]:
    """Train, and save now and then."""
    done = time.monotonic()
    for step in tuning.train():
        yield step
        if time.monotonic() - done > _SAVED:
            tuning.save()
            done = time.monotonic()


class _Telling:
    """Says how far a run is: in lines on stderr, or as JSON on stdout."""

    def __init__(self, as_json: bool) -> None:
        self._json, self._last = as_json, 0.0
        self._live: Any = None  # the line that is drawn over
        self._held, self._first = 0.0, 0.0
        self._started = time.monotonic()

    def data(self, given: Mapping[str, Any], texts: TuningTexts, name: str) -> None:
        """Tell what is trained on and measured."""
        files, spans = len(texts.train), len(texts.held)
        tokens = int(texts.nbytes / _TOKEN)
        said = {"base": given["base"], "name": name, "minutes": given["minutes"], "files": files}
        said |= {"bytes": texts.nbytes, "tokens": tokens, "spans": spans, "commit": texts.commit}
        held = f"{spans} spans of {len({one.path for one in texts.held})} files"
        at = f" at {texts.commit[:8]}" if texts.commit else ""
        since = "since then" if texts.commit else "left out of it (no history to split by)"
        self._say("data", said, f"tune   {given['base']} → {name}, {given['minutes']:g} minutes")
        self.line(f"data   {files} files, {in_units(texts.nbytes)}, about {tokens:,} tokens{at}")
        self.line(f"       held out: {held} {since}")

    def before(self, held: float, tuning: Tuning) -> None:
        """Tell how the base does."""
        self._held = self._first = tuning.glanced
        said = {"held": round(held, 4), "elsewhere": tuning.elsewhere, "spans": len(tuning.spans)}
        words = f"before hole loss {held:.3f}   elsewhere {tuning.elsewhere:.3f}"
        self._say("before", said, words)
        self._started = time.monotonic()

    def step(self, one: TuningStep, minutes: float) -> None:
        """Tell of a step, in a line that the next one takes the place of."""
        self._held = self._held if one.held is None else one.held
        left = max(0, round(60 * minutes * (1 - one.share)))
        since = max(1e-6, time.monotonic() - self._started)
        words = (
            f"{left // 60:3}:{left % 60:02} left  step {one.step}  loss {one.loss:.2f}  "
            f"held out {self._first:.2f} → {self._held:.2f}  {one.tokens / since:,.0f} tokens/s"
        )
        if self._json:
            self._say("step", asdict(one), "")
        elif sys.stderr.isatty():
            if self._live is None:
                from rich.console import Console
                from rich.live import Live

                # closed by the next line that stays
                self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
                self._live.start()
            from rich.text import Text

            self._live.update(Text(words, no_wrap=True, overflow="crop"), refresh=True)
        elif time.monotonic() - self._last > _TOLD:
            self._last = time.monotonic()
            self.line(words)

    def measuring(self) -> None:
        """Tell that training is over."""
        self.line("measuring …")

    def clear(self) -> None:
        """Take the line away that is drawn over."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def verdict(self, found: Verdict, name: str, *, kept: bool) -> None:
        """Tell how it was judged."""
        mean, low, high = found.gain
        words = f"after  hole loss {found.before:.3f} → {found.after:.3f} "
        words += f"({-mean:+.3f} [{-high:+.3f}, {-low:+.3f}])   "
        words += f"elsewhere {found.elsewhere[0]:.3f} → {found.elsewhere[1]:.3f}"
        if found.fills is not None:
            for figure, (before, after, (_, least, most)) in found.fills.items():
                words += f"   {figure} {before:.0%} → {after:.0%} [{least:+.0%}, {most:+.0%}]"
        self._say("verdict", found.table() | {"name": name, "kept": kept}, words)
        if found.stopped:
            self.line(f"stopped: {found.stopped}")
        if kept:
            self.line(f"kept as {name}; use it with  dgedit model use {name}")
        else:
            self.line(f"not kept: {'; '.join(found.reasons)} (--resume --keep always names it)")

    def _say(self, kind: str, said: Mapping[str, Any], words: str) -> None:
        if self._json:
            output.print_text(json.dumps({"kind": kind, **said}) + "\n")
        elif words:
            self.line(words)

    def line(self, words: str) -> None:
        """Tell something in words, if no JSON is wanted."""
        if self._json:
            return
        self.clear()
        output.show(f"{words}\n", sys.stderr)
