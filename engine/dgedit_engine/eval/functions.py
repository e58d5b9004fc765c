"""Make infilling tasks of packages' functions and of how their own tests call them.

    python -m dgedit_engine.eval.functions --site FOLDER --calls FILE… --out functions.jsonl.xz

`--calls` are what `eval.recording` wrote, `--site` the folder in which the packages are installed.
A task is in HumanEval-Infilling's format: a program of its own around one function, a hole in its
body, and checks: the recorded calls with the results of the function as it stands. It is a task
only if the program passes in the sandbox as it stands, and fails there with the hole empty, with
`pass` in it, and with small mistakes in it. The same files give the same tasks.
"""

from __future__ import annotations

import argparse
import json
import lzma
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from dgedit_engine.decode.syntax import parses
from dgedit_engine.eval import sandbox
from dgedit_engine.eval.slices import Package, Slice
from dgedit_engine.train.brackets import Span
from dgedit_engine.train.corpus import share
from dgedit_engine.train.licensed import permissive

SHIPPED = Path(__file__).with_name("functions.jsonl.xz")
"""The tasks that ship."""

WANTED = {"SingleLineInfilling": 80, "MultiLineInfilling": 60, "RandomSpanInfilling": 60}
"""Tasks of each kind."""

CHECKS, LEAST = 8, 3
"""Most and fewest checks of a function."""

LINES, LARGEST = (4, 60), 6_000
"""Lines of a body, and characters of a program."""

FUNCTIONS = 16
"""Functions of one package, at most."""

_TRIES = 6  # spans of one kind in one function
_MISTAKES = 2  # that a task's checks must find
_SECONDS = 60.0

_REPLAY = """
import collections, datetime, json, math, operator, signal, sys
from decimal import Decimal
from fractions import Fraction
from itertools import count, islice
from dgedit_engine.eval.recording import source
def late(*_): raise TimeoutError
signal.signal(signal.SIGALRM, late)
program, name, calls = json.load(sys.stdin)
space = {"__name__": "program"}
exec(compile(program, "<program>", "exec"), space)
names = {**globals(), "candidate": space[name]}
found = []
for call in calls:
    signal.alarm(2)
    try:
        value = eval(call, names)
        kind = "iterator" if hasattr(value, "__next__") else "value"
        found.append((kind, source(list(islice(value, 50)) if kind == "iterator" else value)))
    except Exception as error:
        kind = type(error)
        found.append(("raises", kind.__name__ if kind.__module__ == "builtins" else None))
    signal.alarm(0)
json.dump(found, sys.stdout)
"""

_IMPORTS = {
    "collections.": "import collections",
    "datetime.": "import datetime",
    "math.": "import math",
    "operator.": "import operator",
    "Decimal(": "from decimal import Decimal",
    "Fraction(": "from fractions import Fraction",
    "count(": "from itertools import count",
    "islice(": "from itertools import islice",
}

_SWAPS = (
    *((" == ", " != "), (" != ", " == "), (" < ", " >= "), (" > ", " <= "), (" <= ", " > ")),
    *((" >= ", " < "), (" + ", " - "), (" - ", " + "), (" * ", " + "), (" and ", " or ")),
    *((" or ", " and "), (" not in ", " in "), (" in ", " not in "), (" is not ", " is ")),
    *((" is ", " is not "), ("not ", ""), ("True", "False"), ("False", "True"), ("1", "2")),
    *(("0", "1"), (" += ", " -= "), ("''", "'x'"), ('""', '"x"'), ("None", "0"), ("[", "[0:] [")),
    *(("return ", "return 0 and "), ("yield ", "yield 0 and "), (" = ", " = 0 and ")),
)


@dataclass(frozen=True, slots=True)
class Function:
    """A function with its program and its checks."""

    package: str
    """The distribution it came with."""
    licence: str
    """The licence that its distribution states."""
    path: str
    """Its module's file."""
    name: str
    """The function's name."""
    program: Slice
    """The function with what it needs."""
    test: str
    """Defines `check(candidate)`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Choose, try, write. Returns the exit code: 0, or 3 for files that cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        functions = list(_functions(options.site, options.calls))
    except (OSError, ValueError, KeyError) as error:
        print(f"functions: {error}", file=sys.stderr)
        return 3
    print(f"{len(functions)} functions with checks", flush=True)
    rows = tasks(functions)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    options.out.write_bytes(lzma.compress(lines.encode(), preset=9 | lzma.PRESET_EXTREME))
    options.out.with_name("FUNCTIONS.md").write_text(_credit(rows))
    print(f"{options.out}: {len(rows)} tasks, {options.out.stat().st_size:,} bytes")
    return 0


def tasks(functions: Sequence[Function]) -> list[dict[str, str]]:
    """Make up to `WANTED` tasks of each kind, one of a kind from a function."""
    rows: list[dict[str, str]] = []
    left = dict(WANTED)
    for number, function in enumerate(functions):
        text, test = function.program.text, f"\n{function.test}\ncheck({function.name})\n"
        if not any(left.values()) or not sandbox.run(text + test).passed:
            continue
        for kind in [kind for kind, count in left.items() if count]:
            rng = np.random.default_rng([number, list(WANTED).index(kind)])
            for start, end in _spans(function.program, kind, rng):
                if _judged(text, (start, end), test, rng):
                    rows.append(_row(kind, number, function, (start, end)))
                    left[kind] -= 1
                    break
    return rows


def _row(kind: str, number: int, function: Function, span: Span) -> dict[str, str]:
    text, (start, end) = function.program.text, span
    return {
        "task_id": f"{kind}/functions/{number}/{start}_{end}",
        "entry_point": function.name,
        "prompt": text[:start],
        "canonical_solution": text[start:end],
        "suffix": text[end:],
        "test": function.test,
        "package": function.package,
        "licence": function.licence,
        "path": function.path,
    }


def _functions(site: Path, files: Sequence[Path]) -> Iterator[Function]:
    """Yield the functions that the calls test, packages in turn; a hash of the name decides the
    order.
    """
    package = Package(site)
    owners = _owners(site)
    recorded: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            named = [f"{name}={text}" for name, text in row["named"].items()]
            call = f"candidate({', '.join([*row['args'], *named])})"
            recorded[row["module"], row["name"]].append(call)
    columns: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for key in sorted(recorded, key=lambda key: share(".".join(key))):
        columns[key[0].split(".", 1)[0]].append(key)
    iterators = [
        _of_package(package, owners[top], keys, recorded)
        for top, keys in sorted(columns.items())
        if top in owners
    ]
    for turn in zip_longest(*iterators):
        yield from (one for one in turn if one is not None)


def _of_package(
    package: Package,
    owner: tuple[str, str],
    keys: list[tuple[str, str]],
    recorded: dict[tuple[str, str], list[str]],
) -> Iterator[Function]:
    bodies: set[str] = set()
    for module, name in keys:
        if len(bodies) >= FUNCTIONS:
            return
        program = package.slice(module, name)
        if program is None or len(program.text) > LARGEST:
            continue
        body = program.text[slice(*program.body)]
        lines = sum(bool(_code(line)) for line in body.splitlines())
        if body in bodies or not LINES[0] <= lines <= LINES[1]:
            continue
        if test := _test(program.text, name, recorded[module, name]):
            bodies.add(body)
            found = package.module(module)
            assert found is not None
            path = found.file.relative_to(package.site).as_posix()
            yield Function(*owner, path, name, program, test)


def _test(program: str, name: str, calls: list[str]) -> str | None:
    """Write the checks, from what the function returns; None where too few calls give plain
    values.
    """
    first, second = (_replayed(program, name, calls, seed) for seed in ("1", "2"))
    if first is None or first != second:
        return None
    lines: dict[str, list[str]] = {}  # by outcome: different ones first
    pairs = sorted(zip(calls, first, strict=True), key=lambda pair: len(pair[0]))
    for call, (kind, value) in pairs:
        if value is None or len(value) > 300 or "0x" in call + value:
            continue
        if kind == "raises":
            text = _RAISES.format(call=call, error=value)
        elif kind == "iterator":
            text = f"    assert list(islice({call}, 50)) == {value}\n"
        else:
            text = f"    assert {call} == {value}\n"
        if kind != "raises" or len(lines) >= LEAST - 1:
            lines.setdefault(kind + value, []).append(text)
    turns = [one for turn in zip_longest(*lines.values()) for one in turn if one is not None]
    if len(turns) < LEAST or len(lines) < 2:
        return None
    body = "".join(turns[:CHECKS])
    needs = [text for mark, text in _IMPORTS.items() if mark in body]
    return "def check(candidate):\n" + "".join(f"    {one}\n" for one in needs) + body


_RAISES = """    try:
        {call}
    except {error}:
        pass
    else:
        raise AssertionError
"""


def _replayed(
    program: str, name: str, calls: list[str], seed: str
) -> list[tuple[str, str | None]] | None:
    """Return the result of each call, as source, from a process of its own; None where that
    fails.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _REPLAY],
            input=json.dumps((program, name, calls)),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2]), "TZ": "UTC"},
        )
        return [(kind, value) for kind, value in json.loads(done.stdout)]
    except (subprocess.TimeoutExpired, ValueError):
        return None


def _spans(program: Slice, kind: str, rng: np.random.Generator) -> Iterator[Span]:
    """Yield some spans of a kind in the function's body."""
    start, end = program.body
    body = program.text[start:end]
    lines = [(m.start() + start, m.end() + start) for m in re.finditer(r"[^\n]*\n", body)]
    code = [span for span in lines if _code(program.text[slice(*span)])]
    for _ in range(_TRIES):
        if kind == "SingleLineInfilling":
            yield code[int(rng.integers(len(code)))]
        elif kind == "MultiLineInfilling":
            first = int(rng.integers(len(code) - 1))
            last = min(len(code), first + int(rng.integers(2, 8))) - 1
            yield code[first][0], code[last][1]
        else:
            length = min(int(np.exp(rng.uniform(np.log(6), np.log(160)))), len(body) - 1)
            first = start + int(rng.integers(len(body) - length))
            if program.text[first : first + length].strip():
                yield first, first + length


def _judged(text: str, span: Span, test: str, rng: np.random.Generator) -> bool:
    """Say whether the checks tell the span's text from nothing, from `pass` and from mistakes."""
    start, end = span
    gold = text[start:end]
    indent = gold[: len(gold) - len(gold.lstrip())]
    wrong = [_mistake(gold, text, span, rng) for _ in range(4 * _MISTAKES)]
    mistakes = list(dict.fromkeys(one for one in wrong if one is not None))[:_MISTAKES]
    if not mistakes:
        return False
    ended = "\n" if gold.endswith("\n") else ""
    tried = ["", f"{indent}pass{ended}", *mistakes]
    return not any(sandbox.run(text[:start] + one + text[end:] + test).passed for one in tried)


def _mistake(gold: str, text: str, span: Span, rng: np.random.Generator) -> str | None:
    """Return the text with one thing wrong that still parses."""
    old, new = _SWAPS[int(rng.integers(len(_SWAPS)))]
    places = [match.start() for match in re.finditer(re.escape(old), gold)]
    for offset in rng.permutation(len(_SWAPS)).tolist():
        if places:
            break
        old, new = _SWAPS[offset]
        places = [match.start() for match in re.finditer(re.escape(old), gold)]
    if not places:
        return None
    place = places[int(rng.integers(len(places)))]
    wrong = gold[:place] + new + gold[place + len(old) :]
    return wrong if parses(text[: span[0]] + wrong + text[span[1] :]) else None


def _code(line: str) -> str:
    """Return the stripped line, or nothing for a comment and for fewer than four characters."""
    line = line.strip()
    return "" if line.startswith("#") or len(line) < 4 else line


def _owners(site: Path) -> dict[str, tuple[str, str]]:
    """Return the distribution of each top-level module and its licence, where that is
    permissive.
    """
    found: dict[str, tuple[str, str]] = {}
    for info in site.glob("*.dist-info"):
        licence = permissive((info / "METADATA").read_text(encoding="utf-8", errors="replace"))
        name = re.sub(r"[-_.]+", "-", info.name.split("-", 1)[0]).lower()
        for path in re.findall(r"^([^,\"\n]+)\.py,", (info / "RECORD").read_text(), re.MULTILINE):
            if licence and not path.startswith("."):
                found.setdefault(path.split("/", 1)[0], (name, licence))
    return found


def _credit(rows: Sequence[dict[str, str]]) -> str:
    count: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        count[row["package"], row["licence"]].append(row["entry_point"])
    return _CREDIT + "".join(
        f"| [{name}](https://pypi.org/project/{name}/) | {licence} | {len(set(found))} "
        f"| {len(found)} |\n"
        for (name, licence), found in sorted(count.items())
    )


_CREDIT = """# The tasks in `functions.jsonl.xz`

Functions of these packages, each with the statements of its package that it needs, under its
package's licence; FUNCTIONS-LICENCES.txt holds the texts of the licences. The checks are calls that
the packages' own tests make, with what the functions give. They serve to measure a model
(`dgedit eval --benchmark functions`): no model of ours is trained on these packages. Made by
`python -m dgedit_engine.eval.functions`.

| package | licence | functions | tasks |
|---|---|---|---|
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dgedit_engine.eval.functions")
    add = parser.add_argument
    add("--site", type=Path, required=True, help="folder in which the packages are installed")
    add("--calls", type=Path, nargs="+", required=True, help="what eval.recording wrote")
    add("--out", type=Path, default=SHIPPED, help="file to write (the one that ships)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
