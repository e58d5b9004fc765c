"""An excerpt of a large file is filled, shown and saved as the whole file would be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dgedit.cli import run
from dgedit.commands import output
from dgedit.errors import ConflictError, DgeditError, UsageError
from dgedit.files import disk
from dgedit.files.document import Document, UnfitError
from dgedit.request import large
from dgedit.request import run as fill
from dgedit.request.ranges import _lines
from dgedit.request.run import Source, places
from dgedit.text.diff import unified_diff
from scripted import Scripted

PIECES = ["a", "bc ", "\n", "\n", "\n", "x\n", "\r\n", "\r", "\n\n", "é", "漢", "😀"]
PIECES += ["\x0c", "<FILL>", "<FILL: x>"]
ODD = [b"\xe9", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xff"]
RANGES = st.one_of(
    st.none(),
    st.builds("{}".format, st.integers(0, 12)),
    st.builds("{}-{}".format, st.integers(1, 9), st.integers(1, 12)),
    st.builds("{}+{}".format, st.integers(1, 9), st.integers(0, 3)),
    st.builds("{}-".format, st.integers(1, 9)),
    st.builds(
        "{}:{}-{}:{}".format,
        *(st.integers(1, 6), st.integers(1, 4), st.integers(1, 9), st.integers(1, 4)),
    ),
)


def stored(pieces: list[str], kind: str, odd: list[tuple[int, bytes]]) -> bytes:
    if kind.startswith("utf-16"):
        return ("\ufeff" + "".join(pieces)).encode(kind)
    data = [piece.encode() for piece in pieces]
    for at, extra in odd:
        data.insert(at % (len(data) + 1), extra)
    return (b"\xef\xbb\xbf" if kind == "bom" else b"") + b"".join(data)


TEXTS = st.builds(
    stored,
    st.integers(0, 100).flatmap(
        lambda size: st.lists(st.sampled_from(PIECES), min_size=size, max_size=size)
    ),
    st.sampled_from(["plain", "bom", "utf-16-le", "utf-16-be"]),
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from(ODD)), max_size=4),
)


def applied(diff: str, text: str) -> str:
    """What a diff makes of a text, each hunk at the very line that it names."""
    lines, result, done = re.findall(r"[^\n]*\n|[^\n]+", text), "", 0
    for hunk in re.split(r"(?m)^@@ ", diff)[1:]:
        head, _, body = hunk.partition("\n")
        start, count = map(int, f"{head[1:].split()[0]},1".split(",")[:2])
        start -= count > 0
        changes = [
            (sign, line[:-1] if unended else line)
            for sign, line, unended in re.findall(r"([ +-])([^\n]*\n)(\\ No newline.*\n)?", body)
        ]
        old = "".join(line for sign, line in changes if sign != "+")
        new = "".join(line for sign, line in changes if sign != "-")
        assert "".join(lines[start : start + count]) == old
        result += "".join(lines[done:start]) + new
        done = start + count
    return result + "".join(lines[done:])


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1 << 20])
def test_excerpt_is_what_the_whole_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    path = tmp_path / "a.txt"
    monkeypatch.setattr(disk, "_CHUNK", chunk)
    monkeypatch.setattr(large, "_REACH", 5)
    excerpts = 0

    @settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
    @given(TEXTS, st.lists(RANGES, min_size=1, max_size=2))
    def check(data: bytes, ranges: list[str | None]) -> None:
        nonlocal excerpts
        path.write_bytes(data)
        whole = Document.load(path)
        try:
            wanted = Source.of(whole, ranges, marker="<FILL>")
        except DgeditError as error:
            with pytest.raises(type(error)) as caught:
                large.excerpt(path, ranges)
            assert str(caught.value) == str(error)
            return
        part, spans = large.excerpt(path, ranges)
        excerpts += part.is_excerpt
        assert places([Source(part, spans)]) == places([wanted])
        held = [part.text[span.start : span.end] for span in spans]
        assert held == [whole.text[span.start : span.end] for span in wanted.spans]
        assert part.fingerprint == whole.fingerprint and b"".join(part.stored()) == data
        new = part.apply([(span, "new") for span in spans])
        new_whole = whole.apply([(span, "new") for span in wanted.spans])
        assert b"".join(new.stored()) == new_whole.encode()
        shown = unified_diff(part.text, new.text, "a", above=part.outside.newlines)
        assert applied(shown, whole.text) == new_whole.text
        saved = new.save()
        assert path.read_bytes() == new_whole.encode()
        assert disk.read(path)[1] == saved.fingerprint

    check()
    assert excerpts > 50


def test_decoding_in_chunks_is_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"

    @settings(max_examples=500)
    @given(st.binary(max_size=40), st.integers(1, 6))
    def check(data: bytes, chunk: int) -> None:
        monkeypatch.setattr(disk, "_CHUNK", chunk)
        path.write_bytes(data)
        try:
            whole = Document.load(path)
        except UnfitError:
            return
        with disk.opened(path) as fd:
            text = large._Text(fd, path)
            parts = [text.piece(at) for at in range(len(text.pieces) - 1)]
            assert "".join(parts) == whole.text
            assert [text[at] for at in range(len(text))] == _lines(whole.text)

    check()


@pytest.fixture
def small(folder: Path, monkeypatch: pytest.MonkeyPatch, scripted: Scripted) -> Path:
    """A file that counts as large."""
    monkeypatch.setattr(fill, "LARGEST", 1000)
    monkeypatch.setattr(large, "_REACH", 50)
    monkeypatch.setattr(disk, "_CHUNK", 4096)
    path = folder / "big.txt"
    path.write_text("".join(f"line {number}\n" for number in range(1, 5001)))
    return path


def test_large_file_is_filled_in_place(small: Path) -> None:
    before = small.read_text()
    assert run(["fill", "big.txt:2500", "big.txt:2502-2503", "-w"]) == 0
    after = before.replace("line 2500\n", "filled\n").replace("line 2502\nline 2503\n", "filled\n")
    assert small.read_text() == after
    assert {entry.name for entry in small.parent.iterdir()} == {"big.txt"}


def test_diff_of_a_large_file_applies(
    small: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    before = small.read_text()
    assert run(["fill", "big.txt:2500"]) == 0
    patch = capfdbinary.readouterr().out
    assert b"@@ -2497,7 +2497,7 @@" in patch
    subprocess.run(["git", "apply", "-"], input=patch, cwd=small.parent, check=True)
    assert small.read_text() == before.replace("line 2500\n", "filled\n")


def test_large_file_is_printed_whole(
    small: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    before = small.read_bytes()
    assert run(["fill", "big.txt:5000", "--print"]) == 0
    assert capfdbinary.readouterr().out == before.replace(b"line 5000\n", b"filled\n")
    assert small.read_bytes() == before


def test_large_file_is_not_printed_onto_a_terminal(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    part, _ = large.excerpt(small, ["9"])
    with pytest.raises(UsageError, match=r"big\.txt is too large to be shown"):
        output.print_document(part)


@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("big.txt:5001", 3, "range 5001 is outside big.txt, which has 5000 lines"),
        ("big.txt:9-", 3, "big.txt: 48,"),
        ("big.txt::main", 3, "big.txt is too large to look for names in it: give a range"),
        ("big.txt", 3, "big.txt has no <FILL>, and no range was given"),
        ("big.txt:x", 2, "not a range: 'x'"),
    ],
)
def test_what_cannot_be_filled_is_told(
    small: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    target: str,
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr("dgedit.request.markers._WITHIN", 40_000)
    assert run(["fill", target]) == code
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_lines_that_are_too_large_are_refused(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(large, "LARGEST", 20_000)
    small.write_text("x" * 30_000 + "\n")
    assert run(["fill", "big.txt:1:5-1:9"]) == 3
    assert "the lines around the holes are too large: 30.0 kB" in capsys.readouterr().err


def test_change_of_the_rest_is_a_conflict(small: Path) -> None:
    part, spans = large.excerpt(small, ["2500"])
    new = part.apply([(spans[0], "new")])
    theirs = small.read_bytes()[:-5] + b"else\n"
    small.write_bytes(theirs)
    for act in (new.save, lambda: list(new.stored())):
        with pytest.raises(ConflictError):
            act()
    assert small.read_bytes() == theirs


def test_what_is_not_text_is_refused(small: Path) -> None:
    for data in (b"\0" * 9, b"\xff\xfea\0b"):
        small.write_bytes(data)
        with pytest.raises(UnfitError, match="is not text"):
            large.excerpt(small, ["1"])


# The program with a scripted backend; says on stderr how much memory it took at most.
DRIVER = """
import resource, sys
from dgedit import cli
from dgedit.engines import connect as backend
from scripted import Scripted
backend.connect = lambda *args, **more: Scripted()
code = cli.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def memory_of(folder: Path, *args: str) -> int:
    """The most kB that a command held in memory."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *args],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=300,
        check=True,
    )
    return int(done.stderr)


@pytest.mark.parametrize("size", [60_000_000, pytest.param(1 << 30, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, size: int) -> None:
    lines = b"".join(b"%07d %s\n" % (number, b"x" * 91) for number in range(10_000))
    big, little = tmp_path / "big.txt", tmp_path / "little.txt"
    little.write_bytes(lines[:1_000])
    with big.open("wb") as file:
        for _ in range(size // len(lines) + 1):
            file.write(lines)
    last = big.stat().st_size // 100
    least = memory_of(tmp_path, "fill", "little.txt:3", "-w")
    most = memory_of(tmp_path, "fill", f"big.txt:{last // 2}", f"big.txt:{last // 2 + 9}", "-w")
    printed = memory_of(tmp_path, "fill", f"big.txt:{last}", "--print")
    assert max(most, printed) < least + 40_000
    assert big.stat().st_size == last * 100 - 2 * (100 - len("filled\n"))
