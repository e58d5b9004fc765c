"""What comes from outside, in any shape: only the errors that are documented, and each at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from dgedit import config
from dgedit.cli import run
from dgedit.engines.warm import wire
from dgedit.errors import InputError, UsageError
from dgedit.files.document import Document, Span, UnfitError
from dgedit.files.journal import Journal, Process
from dgedit.request.markers import marked, passage
from dgedit.request.ranges import parse_target, spans_of
from dgedit.text.visible import visible
from dgedit_engine.types import Candidate, Draft, Hole, InfillRequest, Passage, Step
from fuzzed import ANY_TEXT, JSON, changed, edited, ended_after, inputs
from scripted import Scripted

NUMBER = st.integers(0, 10**12).map(str) | st.integers(0, 30).map(str)
RANGE = st.lists(
    st.sampled_from([":", "-", "+", "L", "::", ".", "1", "2", "10", "f", "A.g", " ", "٣", "\0"])
    | NUMBER,
    max_size=8,
).map("".join)
MARKS = st.lists(
    st.sampled_from(
        ["<FILL>", "<FILL:", ">", "<", "->", "=>", ": x", "\r\n", "\n", "a", "é", "<FILL: <b>>"]
    ),
    max_size=30,
).map("".join)
CODE = (
    "class A:\n    def g(self):\n        return 1\r\n\ndef f(x):\n    y = <FILL: é>\n    return y\n"
)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system does not say")
def test_input_that_takes_much_memory_is_a_failure() -> None:
    """Or the bound would bound nothing: also when it is given back at once."""

    def takes(size: int) -> None:
        assert len(bytearray(b"x") * size) == size

    inputs(st.just(100_000_000), amount=1)(takes)
    with pytest.raises(AssertionError):
        inputs(st.just(400_000_000), amount=1)(takes)


def test_targets_are_spans_or_errors(folder: Path) -> None:
    for name in ("a.py", "a.py:1", "b", "c:d"):
        (folder / name).write_text(CODE, newline="")
    document = Document.load(folder / "a.py")

    @inputs(st.sampled_from(["a.py", "a.py:1", "b", "c:d", "", "x"]), RANGE | ANY_TEXT)
    def check(name: str, given_: str) -> None:
        try:
            path, one = parse_target(f"{name}:{given_}" if given_ else name)
        except InputError:
            path, one = folder, given_
        assert path.exists()
        try:
            spans = spans_of(document, [one, None] if len(given_) % 2 else [one])
        except (InputError, UsageError) as error:
            assert "\n" not in visible(str(error))
            return
        assert spans == sorted(spans) and spans[-1].end <= len(document.text)
        passage(document, spans)


def test_target_of_colons_is_told_at_once(folder: Path) -> None:
    for target in (":" * 120_000, ":" * 120_000 + "/", "a:1" * 40_000):
        with ended_after(2), pytest.raises(InputError):
            parse_target(target)


def test_markers_are_found_at_once() -> None:
    @inputs(MARKS, st.sampled_from(["<FILL>", "<", ">", "->", "x", "<FILL: >", "(("]))
    def check(text: str, marker: str) -> None:
        found = marked(text, marker)
        assert all(one.span.end <= after.span.start for one, after in pairwise(found))
        for one in found:
            held = text[one.span.start : one.span.end]
            assert held.startswith(marker.removesuffix(">")) and held.endswith(marker[-1])
            assert one.words in held and "\n" not in one.words


@pytest.mark.parametrize(
    "text", ["<FILL:", "<FILL: <", "->", "<FILL: ->", "<FILL", "<FILL: a", "<<>", "<FILL:<a>"]
)
def test_markers_of_a_long_line_are_found_at_once(text: str) -> None:
    for line in (text * (200_000 // len(text)), f"<FILL: {text * (200_000 // len(text))}"):
        with ended_after(5):
            marked(line)


def test_bytes_are_a_document_or_unfit(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    boms = st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\0\0"])

    @inputs(boms, st.binary(max_size=60), st.integers(0, 60), ANY_TEXT)
    def check(bom: bytes, data: bytes, at: int, new: str) -> None:
        try:
            document = Document.from_bytes(bom + data)
        except UnfitError:
            return
        assert document.encode() == bom + data
        place = min(at, len(document.text))
        edited = document.apply([(Span(place, place), new)])
        try:
            stored = edited.encode()
        except InputError as error:
            assert "cannot be stored" in str(error)
            return
        path.write_bytes(bom + data)
        assert stored.startswith(document.with_text(document.text[:place]).encode())
        assert Document.load(path).encode() == bom + data


DRAFT = Draft(("a", "b"), (0.5, 1.0), (True, False))
CANDIDATE = Candidate(DRAFT, -1.0, "draft", 0)
REQUEST = InfillRequest((Passage("a.py", ("x", Hole("y"), Hole())),), "do", seed=3, steps=4)
STEP = Step(3, 9, (DRAFT,), True, "settled", -0.5, ((CANDIDATE,),))


@pytest.mark.parametrize(
    ("made", "read", "whole"),
    [
        (wire.request_to_json, wire.request_from_json, REQUEST),
        (wire.step_to_json, wire.step_from_json, STEP),
    ],
    ids=["request", "step"],
)
def test_messages_are_read_or_refused_by_value(
    made: Callable[[Any], Any], read: Callable[[Any], Any], whole: Any
) -> None:
    assert read(json.loads(json.dumps(made(whole)))) == whole

    @inputs(changed(made(whole)) | JSON)
    def check(message: Any) -> None:
        try:
            one = read(json.loads(json.dumps(message)))
        except ValueError as error:
            assert str(error) and len(str(error)) < 200
            return
        assert isinstance(one, type(whole))
        again = read(json.loads(json.dumps(made(one))))
        assert json.dumps(made(again)) == json.dumps(made(one))  # equal, NaN too


KEYS = [one.name for one in fields(config.Settings)]
TOML = st.recursive(
    st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.datetimes() | st.times(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)
LINES = st.lists(
    st.sampled_from([*KEYS, "[keys]", "[x]", "[[", "=", '"', '"""', "'", "#", "\n", "1e9", "nan"])
    | st.sampled_from(["true", "{", "}", "[", "]", ".", " ", '"a"', "2026-01-01", "-", "\\u"])
    | ANY_TEXT,
    max_size=14,
).map("".join)


def test_settings_are_checked_or_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"

    @inputs(st.dictionaries(st.sampled_from(KEYS) | ANY_TEXT, TOML, max_size=3), LINES)
    def check(table: dict[str, Any], lines: str) -> None:
        data = lines.encode("utf-8", "surrogatepass")
        path.write_bytes(data)
        key = next(iter(table), "")
        for act in (
            lambda: config.Settings(**config.parse(table, "here")),
            lambda: config.load(path, project=len(lines) % 2 == 0),
            lambda: config.read_value(key or lines[:9], lines, "there"),
            lambda: config.change(key or "effort", table.get(key, 0.25), path),
        ):
            try:
                act()
            except (UsageError, InputError) as error:
                assert str(error)


def test_journal_reads_what_it_wrote_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    ours, dead = Process.ours(), Process(2**22 + 1, Process.ours().host, "never")
    theirs, journal = Journal(tmp_path / "j", dead), Journal(tmp_path / "j", ours)
    theirs.keep(Document.from_text("kept\n", path))
    theirs.open(path)
    (text,), (open_,) = (list((tmp_path / "j").glob(f"*.{kind}")) for kind in ("text", "open"))
    assert [one.text for one in journal.left(path)] == ["kept\n"]
    heads = [json.loads(file.read_bytes().split(b"\n")[0]) for file in (text, open_)]
    bodies = changed(heads[0]).map(lambda head: json.dumps(head).encode() + b"\nkept\n")

    @inputs(
        bodies | edited(text.read_bytes()),
        changed(heads[1]).map(lambda head: json.dumps(head).encode() + b"\n")
        | edited(open_.read_bytes()),
    )
    def check(body: bytes, head: bytes) -> None:
        text.write_bytes(body)
        open_.write_bytes(head)
        for entry in journal.left(path):
            assert entry.text == "kept\n"
            journal.discard(entry)
        journal.open(path)
        journal.close(path)


def test_command_line_says_one_line_or_nothing(
    folder: Path, scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    names = st.sampled_from(["a.py", "b\x1b[31m", "c:d", "gone"])
    for name in ("a.py", "b\x1b[31m", "c:d"):
        (folder / name).write_text(CODE, newline="")
    options = st.sampled_from(["--range", "--marker", "-m", "--strength", "--effort", "--seed"])
    flags = st.sampled_from(["--json", "--print", "--span-only", "--check", "-q", "--events", "-w"])
    words = RANGE | ANY_TEXT | NUMBER
    texts = words.filter(lambda text: "\0" not in text)  # no argument has one

    @inputs(
        st.lists(st.tuples(names, texts).map(":".join) | names | texts, max_size=3),
        st.lists(st.tuples(options, texts) | flags.map(lambda one: (one,)), max_size=3),
        amount=60,
    )
    def check(targets: list[str], given_: list[tuple[str, ...]]) -> None:
        args = ["fill", *(word for option in given_ for word in option), *targets]
        args = [one.encode("utf-8", "replace").decode() for one in args]
        code = run(args)
        said = capsys.readouterr().err
        assert code in (0, 1, 2, 3, 4, 6), (args, said)
        assert said.count("\n") <= 1 and visible(said, keep="\n") == said, args
        (folder / "a.py").write_text(CODE, newline="")


def test_what_is_shown_has_no_control() -> None:
    @inputs(ANY_TEXT | st.text("\u200d\ufe0f👨👩a\u202e\x9b\x1b", max_size=12))
    def check(text: str) -> None:
        shown = visible(text)
        assert visible(shown) == shown
        assert not any(char in shown for char in "\x1b\x9b\x07\r\n\x7f\u202e\u2066\u200b\u061c")
