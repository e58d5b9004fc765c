"""Find where a variable or a parameter is bound, in the syntax tree.

Only places with the name are looked at. Which nodes bind is read off the fields that the grammars
share, so that one rule does for all languages. Knows trees and lines; nothing of widgets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tree_sitter import Node, Tree

_FIELDS = {"left", "name", "pattern", "alias", "declarator", "parameter"}
"""The fields of what a statement, a parameter or an import binds."""
_USES = {"keyword_argument", "pair", "augmented_assignment"}
"""Nodes with such a field that bind nothing."""
_THROUGH = ("pattern", "pattern_list", "expression_list", "dotted_name", "target", "list")
"""Ends of the types of nodes that only hold several names, or part of one."""
_SCOPES = ("function", "method", "lambda", "closure", "comprehension", "generator_expression")


def bound(
    tree: Tree, lines: Sequence[str], name: str, row: int, column: int
) -> tuple[int, int] | None:
    """Return the row and column of the first place that binds a name, in the innermost function
    that binds it around the name at a row and column, else outside of functions; None if none does.
    Columns are in code points.
    """
    around = _leaf(tree, lines[row], name, row, column)
    first: dict[int | None, tuple[int, int]] = {}
    for at, node in _places(tree, lines, name):
        if _binds(node):
            scope = _scope(node)
            first.setdefault(scope.id if scope else None, at)
    scope = around and _scope(around)
    while scope is not None:
        if scope.id in first:
            return first[scope.id]
        scope = scope.parent and _scope(scope.parent)
    return first.get(None)


def _places(tree: Tree, lines: Sequence[str], name: str) -> Iterator[tuple[tuple[int, int], Node]]:
    """Yield each place of a name that is not behind a dot, and its leaf in the tree."""
    whole = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)")
    for row, line in enumerate(lines):
        if name in line:
            for match in whole.finditer(line):
                if node := _leaf(tree, line, name, row, match.start()):
                    yield (row, match.start()), node


def _leaf(tree: Tree, line: str, name: str, row: int, column: int) -> Node | None:
    start = len(line[:column].encode("utf-8", "replace"))
    end = start + len(name.encode("utf-8", "replace"))
    return tree.root_node.descendant_for_point_range((row, start), (row, end))


def _binds(node: Node) -> bool:
    """Say whether a name's leaf is what its statement, or list of parameters, binds."""
    inner, outer = node, node.parent
    while outer is not None and outer.type not in _USES:
        if outer.type.endswith(("parameters", "typed_parameter")):
            return True
        at = outer.children.index(inner)
        if outer.field_name_for_child(at) in _FIELDS:
            return True
        if not outer.type.endswith(_THROUGH):
            return False
        inner, outer = outer, outer.parent
    return False


def _scope(node: Node) -> Node | None:
    """Return the innermost function that a node is in, or is; None for none.

    A function's own name belongs to what is around the function.
    """
    inner, outer = node, node.parent
    while outer is not None:
        if any(word in outer.type for word in _SCOPES) and not outer.type.endswith("parameters"):
            name = outer.child_by_field_name("name")
            if name is None or name.id != inner.id:
                return outer
        inner, outer = outer, outer.parent
    return None
