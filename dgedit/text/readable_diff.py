"""Show how texts differ, as the lines of a unified diff for people to read.

Characters that a terminal would not show are made visible, line ends included where they are the
difference. Knows texts; nothing of screens. For a diff that `git apply` accepts see `diff.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dgedit.text.merge import Block, blocks, split_lines
from dgedit.text.visible import visible

AROUND = 3
"""The number of context lines shown around a change."""

_TAB = 4

_Code = tuple[str, int, int, int, int]
"""`equal` or `replace`; first and last line (excluded) in the old text, then in the new one."""


def diff_lines(before: str, after: str) -> Iterator[str]:
    """Yield the lines of the diff, each with its mark, safe to show; a line that says so if nothing
    changed.
    """
    old, new = split_lines(before), split_lines(after)
    if old == new:
        yield " no difference"
        return
    for lines, _ in hunks_of(old, new, blocks(old, new)):
        yield from lines


def hunks_of(
    old: list[str], new: list[str], shared: Iterable[Block]
) -> Iterator[tuple[list[str], int]]:
    """Yield for each hunk its lines, as in `diff_lines`, and the line of the old text before which
    it ends. `shared` are the blocks that the texts have in common, joined as by `merge.joined`.
    """
    codes: list[_Code] = []
    i = j = 0
    for one, two, size in (*shared, Block(len(old), len(new), 0)):
        if i < one or j < two:
            codes.append(("replace", i, one, j, two))
        if size:
            codes.append(("equal", one, one + size, two, two + size))
        i, j = one + size, two + size
    for group in _groups(codes):
        yield list(_hunk(group, old, new)), group[-1][2]


def _groups(codes: list[_Code]) -> Iterator[list[_Code]]:
    """Group changes with their context lines; changes near each other share a group."""
    group: list[_Code] = []
    for at, (kind, a, b, c, d) in enumerate(codes):
        if kind == "replace":
            group.append((kind, a, b, c, d))
            continue
        first, last = at == 0, at == len(codes) - 1
        if not first and not last and b - a <= 2 * AROUND:
            group.append((kind, a, b, c, d))
            continue
        size = min(AROUND, b - a)
        if not first:
            yield [*group, (kind, a, a + size, c, c + size)]
        group = [(kind, b - size, b, d - size, d)]
    if len(group) > 1 or (group and group[0][0] == "replace"):
        yield group


def _hunk(group: list[_Code], old: list[str], new: list[str]) -> Iterator[str]:
    (_, i, _, j, _), (_, _, m, _, n) = group[0], group[-1]
    yield f"@@ -{i + 1},{m - i} +{j + 1},{n - j} @@"
    for kind, a, b, c, d in group:
        if kind == "equal":
            yield from (" " + _shown(line, False) for line in old[a:b])
        else:
            ends = {_end(line) for line in (*old[a:b], *new[c:d])}
            yield from ("-" + _shown(line, len(ends) > 1) for line in old[a:b])
            yield from ("+" + _shown(line, len(ends) > 1) for line in new[c:d])


def _end(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]


def _shown(line: str, with_end: bool) -> str:
    end = _end(line)
    shown = visible(line.removesuffix(end), keep="\t").expandtabs(_TAB)
    return shown + ((visible(end) or "  (no line end)") if with_end else "")
