"""The options that several commands share, with their help texts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dgedit.allowed import DEVICES, is_device
from dgedit.commands.coercion import Quick
from dgedit.config import Color
from dgedit.errors import UsageError
from dgedit_engine.types import CAUTION

HOLES, OUTPUT, RESULT, ENGINE = "What to fill", "What comes of it", "How it is filled", "By whom"
"""The groups into which `Grouped` sorts options."""


class Keys(StrEnum):
    """The number formats of the prompt cache's keys."""

    BF16 = "bf16"
    FP8 = "fp8"


class Grouped(Quick):
    """A command whose help shows its options in groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options by group; those without a group come last."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and param.param_type_name == "option":  # arguments come first
                group = getattr(param, "rich_help_panel", None) or ENGINE
                groups.setdefault(group, []).append(record)
        for group in (HOLES, RESULT, OUTPUT, ENGINE):
            if group in groups:
                with formatter.section(group):
                    formatter.write_dl(groups[group])


def option(group: str, *names: str, **settings: Any) -> Any:
    """Make an option of a group. Its help text names the default itself where that is useful."""
    return typer.Option(*names, rich_help_panel=group, show_default=False, **settings)


def known_device(name: str | None) -> str | None:
    """Check a device's name, and return it as the engine expects it: empty for auto. Raises
    UsageError.
    """
    if name and not is_device(name):
        raise UsageError(f"no device {name!r}: {DEVICES}")
    return "" if name == "auto" else name


def _some(seconds: float | None) -> float | None:
    if seconds is not None and not seconds > 0:
        raise UsageError(f"--time must be more than 0, not {seconds:g}")
    return seconds


def _probability(caution: float) -> float:
    if not 0 <= caution <= 1:
        raise UsageError(f"--caution must be between 0 and 1, not {caution:g}")
    return caution


Model = Annotated[
    str | None, option(ENGINE, "--model", metavar="NAME", help="A model's name or its folder.")
]
Adapter = Annotated[
    Path | None,
    option(ENGINE, "--adapter", metavar="FOLDER", help="Low-rank changes of it, in PEFT's format."),
]
Verifier = Annotated[
    str | None,
    option(ENGINE, "--verifier", metavar="NAME", help="A second model, which judges the first's."),
]
# Of masked models alone, and not measured on published weights: docs/decoding.md has it.
Drafter = Annotated[str | None, option(ENGINE, "--drafter", metavar="NAME", hidden=True)]
Device = Annotated[
    str | None,
    option(
        ENGINE, metavar="NAME", callback=known_device, help="Where it runs: cpu, cuda, cuda:1, …"
    ),
]
Engine = Annotated[
    str, option(ENGINE, metavar="WHICH", help="auto, local, warm or a server's address.")
]
Effort = Annotated[
    float, option(RESULT, metavar="0-1", help="0 is fastest, 1 most careful; else 0.5.")
]
Seed = Annotated[
    int, option(RESULT, metavar="N", help="The same seed gives the same infill; else 0.")
]
Instruction = Annotated[
    str, option(RESULT, "-m", "--instruction", metavar="TEXT", help="What you want, in words.")
]
Strength = Annotated[
    float | None,
    option(RESULT, metavar="0-1", help="The share of the present text to give up; else 1."),
]
Exact = Annotated[
    bool, option(RESULT, "--exact", help="The likeliest token after token, left to right.")
]
# Known to be worse, so no line of the help is spent on it: docs/decoding.md has it.
Together = Annotated[bool, option(RESULT, "--together", hidden=True)]
# Of masked models alone, and not measured on published weights: docs/decoding.md has it.
Refresh = Annotated[int, option(RESULT, "--refresh", metavar="K", hidden=True)]
Reading = Annotated[
    Literal["auto", "causal"],
    option(RESULT, metavar="WHICH", help="causal: the causal reading alone; else auto, all."),
]
Seconds = Annotated[
    float | None,
    option(
        RESULT,
        "--time",
        metavar="SECONDS",
        callback=_some,
        help="Take the best so far after so long.",
    ),
]
Caution = Annotated[
    float,
    option(
        OUTPUT,
        metavar="0-1",
        callback=_probability,
        help=f"How likely right an infill must be; else {CAUTION}.",
    ),
]
AcceptUnsettled = Annotated[
    bool, option(OUTPUT, "--accept-unsettled", help="Write what is in doubt as well.")
]
Force = Annotated[
    bool, option(HOLES, "--force", help="Fill languages that the model does not know.")
]
Steps = Annotated[
    int | None, option(RESULT, metavar="N", help="The step cap, instead of --effort's.")
]
Candidates = Annotated[
    int | None,
    option(RESULT, metavar="N", help="Infills that compete, instead of --effort's."),
]
EntropyBound = Annotated[
    float | None, option(RESULT, metavar="NATS", help="What one step may accept, likewise.")
]
Marker = Annotated[
    str, option(HOLES, metavar="TEXT", help="What marks a hole in the text; else <FILL>.")
]
Blank = Annotated[
    str | None,
    option(
        HOLES, metavar="CHAR", help="Fill only this character, each with one; auto: the file's."
    ),
]
Alphabet = Annotated[
    str, option(HOLES, metavar="CHARS", help="What a blank may become, as 1-9; else anything.")
]
Ranges = Annotated[
    list[str] | None,
    option(HOLES, "--range", metavar="RANGE", help="A range or ::NAME of it; repeatable."),
]
Colored = Annotated[Color, option(OUTPUT, metavar="WHEN", help="Colours: auto, always or never.")]
