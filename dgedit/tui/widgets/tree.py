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

from dgedit.files.project import Rules
from dgedit.text.visible import visible


class FileTree(DirectoryTree):
    """The tree of a project's files."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back to the text", show=False),
    ]

    ICON_NODE, ICON_NODE_EXPANDED, ICON_FILE = "▸ ", "▾ ", "  "

    class Left(Message):
        """The user returns to the text."""

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
