"""The project's folder as a tree, left of the text.

Shows the files that `project.py` would list; a folder is read when it is opened, in a thread. Knows
a folder; nothing of tabs: a message tells which file was chosen.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widgets import DirectoryTree
from textual.widgets._directory_tree import DirEntry
from textual.widgets._tree import TreeNode

from dgedit.files.project import Rules
from dgedit.text.visible import visible


class FileTree(DirectoryTree):
    """The tree of a project's files."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back to the text", show=False),
        Binding("n", "app.do('create-file')", "new"),
        Binding("N", "app.do('create-folder')", "folder", show=False),
        Binding("r", "app.do('rename-file')", "rename"),
        Binding("d", "app.do('duplicate-file')", "copy", show=False),
        Binding("delete", "app.do('delete-file')", "delete", show=False),
    ]

    ICON_NODE, ICON_NODE_EXPANDED, ICON_FILE = "▸ ", "▾ ", "  "

    class Left(Message):
        """The user returns to the text."""

    class Unfolded(Message):
        """A folder was opened or closed."""

    def __init__(self, folder: Path) -> None:
        self._root = os.path.realpath(folder)
        super().__init__(self._root, id="tree")
        self.show_guides = False
        self.guide_depth = 2

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Leave out ignored paths; all paths are in one folder."""
        rules: Rules | None = None
        for path in paths:
            if rules is None:
                rules = Rules.within(self._root, str(path.parent))
            if not rules.ignore(str(path), folder=self._safe_is_dir(path)):
                yield path

    @property
    def pointed(self) -> Path | None:
        """The path at the cursor; None for the tree's own folder."""
        node = self.cursor_node
        return None if node is None or node is self.root or node.data is None else node.data.path

    def open_folders(self) -> set[str]:
        """Return the folders whose files are shown."""
        return {str(node.data.path) for node in self._open_nodes() if node.data is not None}

    def is_outdated(self) -> bool:
        """Say whether other files are there than are shown. May be called in a thread."""
        for node in self._open_nodes():
            if node.data is None:
                continue
            shown = [one.data.path.name for one in node.children if one.data is not None]
            try:
                there = self.filter_paths([*node.data.path.resolve().iterdir()])
            except OSError:  # the folder is gone
                return True
            if sorted(shown) != sorted(path.name for path in there):
                return True
        return False

    async def reveal(self, path: Path) -> bool:
        """Open the folders of a path and put the cursor on it; return False if it is not shown."""
        root = Path(self._root)
        if not path.is_relative_to(root):
            return False
        node = self.root
        for name in path.relative_to(root).parts:
            if not node.is_expanded:
                await self._add_to_load_queue(node)
                node.expand()
            named = (one for one in node.children if one.data and one.data.path.name == name)
            child = next(named, None)
            if child is None:
                return False
            node = child
        _ = self._tree_lines  # numbers the nodes' lines
        self.move_cursor(node)
        self.scroll_to_node(node, animate=False)
        return True

    def _open_nodes(self) -> list[TreeNode[DirEntry]]:
        found, left = list[TreeNode[DirEntry]](), [self.root]
        while left:
            node = left.pop()
            if node.allow_expand and node.is_expanded:
                found.append(node)
                left += node.children
        return found

    def on_tree_node_expanded(self) -> None:
        """Tell that a folder was opened."""
        self.post_message(self.Unfolded())

    def on_tree_node_collapsed(self) -> None:
        """Tell that a folder was closed."""
        self.post_message(self.Unfolded())

    def process_label(self, label: str | Text) -> Text:
        """Return a name, safe to show; the root is shown without its path."""
        plain = str(label)
        name = os.path.basename(plain) if os.path.isabs(plain) else plain
        return Text(visible(name) or "/")

    def render_line(self, y: int) -> Strip:
        """Render a line; one that is cut off at the right ends in an ellipsis."""
        strip = super().render_line(y)
        at, room = y + self.scroll_offset.y, self.size.width
        if at >= len(self._tree_lines):
            return strip
        line = self._tree_lines[at]
        indented = line._get_guide_width(self.guide_depth, self.show_root)
        if indented + self.get_label_width(line.node) - self.scroll_offset.x <= room:
            return strip
        whole = strip.crop(0, room - 1)
        style = whole._segments[-1].style if whole._segments else None
        return Strip([*whole, Segment("…".rjust(room - whole.cell_length), style)], room)

    def action_leave(self) -> None:
        """Return to the text."""
        self.post_message(self.Left())
