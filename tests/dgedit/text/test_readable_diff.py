"""The diff for people: marked, and safe to show."""

from __future__ import annotations

from dgedit.text.readable_diff import diff_lines

LINES = [f"line {i}\n" for i in range(60)]


def test_diff_marks_lines_and_shows_what_is_not_seen() -> None:
    before = "".join(LINES)
    after = before.replace("line 5\n", "line\x1b 5\n").replace("line 50\n", "line 50\r\n")
    lines = list(diff_lines(before, after))
    assert lines[:2] == ["@@ -3,7 +3,7 @@", " line 2"]
    assert "-line 5" in lines and "+line␛ 5" in lines
    assert "-line 50␊" in lines and "+line 50␍␊" in lines
    assert sum(line.startswith("@@") for line in lines) == 2
    assert list(diff_lines("a", "a\n")) == ["@@ -1,1 +1,1 @@", "-a  (no line end)", "+a␊"]
    assert list(diff_lines("a", "a")) == [" no difference"]
    assert list(diff_lines("", "a\n")) == ["@@ -1,0 +1,1 @@", "+a"]
