"""Drafts in the colours of their syntax, as bright as they are sure."""

from __future__ import annotations

from pathlib import Path

from rich.style import Style

from dgedit.files.document import Span
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.composer import clipped
from dgedit.tui.editor.draft_syntax import draft_syntax
from dgedit.tui.editor.highlighting import syntax_of
from dgedit.tui.editor.paint import syntax_style
from dgedit_engine.types import Draft

from ..conftest import Desk, OpenDesk

PYTHON = syntax_of(Path("a.py"))


def draft(*pieces: str, sure: float = 1.0, settled: bool = True) -> Draft:
    return Draft(pieces, (sure,) * len(pieces), (settled,) * len(pieces))


def styles(d: Desk, y: int) -> dict[str, Style]:
    """The words of a row, each with its style."""
    return {one.text.strip(): one.style or Style() for one in d.app.editor.render_line(y)}


def test_a_draft_has_the_syntax_of_its_place() -> None:
    text = 'x = """\n???\n"""\ndef f():\n    ???\n'
    buffer = Buffer(text, syntax=PYTHON)
    first, second = text.index("???"), text.rindex("???")
    code = draft("return", " 1\n    # b")
    in_a_string = draft_syntax(buffer, Span(first, first + 3), code, drafts=1)
    assert {name for line in in_a_string for _, _, name in line} == {"string"}
    in_code = draft_syntax(buffer, Span(second, second + 3), code, drafts=1)
    assert (0, 6, "keyword.return") in in_code[0] and (7, 8, "number") in in_code[0]
    assert (4, 7, "comment") in in_code[1]


def test_a_large_text_is_parsed_near_the_draft_alone() -> None:
    text = "y = 1\n" * 100_000 + "def f():\n    ???\n" + "z = 2\n" * 100_000
    buffer = Buffer(text, syntax=PYTHON)
    at = text.index("???")
    (line,) = draft_syntax(buffer, Span(at, at + 3), draft("return"), drafts=50)
    assert (0, 6, "keyword.return") in line
    assert draft_syntax(buffer, Span(at, at + 3), draft("x" * 50_000), drafts=1) == ()
    assert draft_syntax(Buffer(text), Span(at, at + 3), draft("return"), drafts=1) == ()


def test_highlights_are_clipped_to_columns() -> None:
    assert clipped([(0, 4, "a"), (2, None, "b"), (9, 12, "c")], 3, 9) == ((0, 1, "a"), (0, 6, "b"))


async def test_settled_pieces_look_as_the_text_does_and_others_by_how_sure_they_are(
    desk: OpenDesk,
) -> None:
    keyword = syntax_style("keyword")
    assert keyword is not None
    async with desk({"a.py": b"def f():\n    x\n    return y\n"}) as d:
        d.select(13, 14)
        await d.press("f2")
        hole = d.app.editor.holes[0]
        d.select(0, 0)
        for sure, settled, dim, italic in (
            (1.0, True, None, None),
            (0.8, False, None, True),
            (0.5, False, True, True),
            (0.1, False, True, True),
        ):
            d.app.editor.show([(hole, draft("return", " 0", sure=sure, settled=settled))])
            d.app.editor.show([(hole, draft("return", " 0", sure=sure, settled=settled))])
            style = styles(d, 1)["return"]
            assert (style.dim, style.italic) == (dim, italic), sure
            assert (style.color == keyword.color) is (sure > 0.4)  # noise has none
            assert not style.underline and not style.bold
            assert style.bgcolor != styles(d, 2)["return"].bgcolor
        assert styles(d, 2)["return"].color == keyword.color
        d.app.editor.show([(hole, draft("return", " 1", sure=0.8, settled=False))])
        assert styles(d, 1)["1"].underline and not styles(d, 1)["return"].underline


async def test_a_draft_at_the_end_of_the_text_has_room(desk: OpenDesk) -> None:
    text = b"x = 1\n" * 60 + b"def f():\n    x"
    async with desk({"a.py": text}, size=(60, 16)) as d:
        editor = d.app.editor
        d.select(len(text) - 1, len(text))
        await d.press("f2", "f5")
        y = editor.rows.y_of(61) - round(editor.scroll_y)
        assert 0 <= y <= editor.size.height - 6
        await d.press("escape")
        assert editor.holes[0].height == 1
