"""Draw docs/neovim.svg and its like: editors in a real terminal, with text by the default model.

python docs/cast.py [NAME...]

Each is set up in an empty home folder by what docs/editors.md says, and is driven in tmux; what it
shows there is the picture. Needs tmux, the editors, dgedit on PATH and a free hand of some seconds:
the engine is started by the first of them.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from film import film
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
_WIDTH, _HEIGHT = 80, 18
_KEY, _STILL = 0.12, 1.8
"""Seconds that a picture is seen while keys are typed, and where there is something to see."""
_SECONDS = 90.0  # for a model to load and to answer

ITEM = '''class Item:
    """One kind of thing on a shelf."""

    def __init__(self, name, price, quantity):
        self.name = name
        self.price = price

    def __repr__(self):
        return f"{self.name}: {self.price}"
'''
EMPTY = '''class Item:
    """One kind of thing on a shelf."""

    def __init__(self, name, price):
        pass

    def __repr__(self):
        return f"{self.name}: {self.price}"
'''


@dataclass(frozen=True)
class Act:
    """Keys, and a pattern of what is to be seen after them."""

    keys: tuple[str, ...]
    """As tmux names them."""
    seen: str
    typed: bool = False
    """Whether each is a picture of its own."""
    drawn: bool = True
    """Whether what is seen after them is one."""


@dataclass(frozen=True)
class Cast:
    """What is done in an editor."""

    command: str
    language: str
    """Of the block in docs/editors.md that sets it up."""
    place: str
    """Where that goes in the home folder."""
    text: str
    acts: tuple[Act, ...]


_GHOST = r"        self\.quantity = quantity"
CASTS = {
    "neovim": Cast(
        "nvim shop.py",
        "lua",
        ".config/nvim/init.lua",
        ITEM,
        (
            Act(("6", "G"), "6,"),
            Act(("o",), _GHOST),
            Act(tuple("self.q"), _GHOST, typed=True),
            Act(("Tab",), _GHOST),
        ),
    ),
    "helix": Cast(
        "hx shop.py",
        "toml",
        ".config/helix/languages.toml",
        EMPTY,
        (
            Act(("5", "G"), " 5:1"),
            Act((" ", "a"), "Fill body of"),
            Act(("Down", "Down"), "Fill body of"),
            Act(("Enter",), r"self\.price = price"),
        ),
    ),
    "kakoune": Cast(
        "kak shop.py",
        "kak",
        ".config/kak/kakrc",
        EMPTY,
        (
            Act(("j", "j", "j", "j"), "5:1"),
            Act((":", "lsp-code-actions", "Enter"), "Fill body of"),
            Act(("Tab", "Tab"), "Fill body of"),
            Act(("Enter",), r"self\.price = price"),
        ),
    ),
    "emacs": Cast(
        "emacs -nw shop.py",
        "elisp",
        ".emacs.d/init.el",
        ITEM,
        (
            Act(("i",), r"LSP\[dgedit:\d+\]", drawn=False),
            Act((*["C-n"] * 5, "C-e"), "L6"),
            Act(("Enter",), _GHOST),
            Act(tuple("self.q"), _GHOST, typed=True),
            Act(("Tab",), _GHOST),
        ),
    ),
}


class Terminal:
    """A session of tmux of our own."""

    def __init__(self, folder: Path, home: Path, command: str) -> None:
        """Start a command in a folder."""
        self._socket = str(folder / "tmux")
        variables = f"HOME={home} XDG_CONFIG_HOME={home}/.config COLORTERM=truecolor"
        size = ("-x", str(_WIDTH), "-y", str(_HEIGHT))
        line = f"cd {folder}/me && env {variables} TERM=tmux-256color {command}"
        (folder / "conf").write_text("set -g status off\n")
        self._tmux("-f", f"{folder}/conf", "new-session", "-d", *size, line)

    def _tmux(self, *said: str) -> str:
        command = ["tmux", "-S", self._socket, *said]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def press(self, key: str) -> None:
        """Press one key."""
        self._tmux("send-keys", *(("-l",) if len(key) == 1 else ()), key)

    def words(self) -> str:
        """Return what is seen, without colours."""
        return self._tmux("capture-pane", "-p")

    def picture(self) -> str:
        """Return what is seen as an SVG."""
        seen = self._tmux("capture-pane", "-p", "-e", "-N").split("\n")[:_HEIGHT]
        lines = list(Text.from_ansi("\n".join(seen)).split("\n", allow_blank=True))
        lines += [Text() for _ in range(_HEIGHT - len(lines))]
        about = self._tmux("display-message", "-p", "#{cursor_x} #{cursor_y} #{cursor_flag}")
        x, y, shown = map(int, about.split())
        if shown:
            lines[y].pad_right(max(0, x + 1 - lines[y].cell_len))
            cut = lines[y].divide([x, x + 1])
            cut[1].stylize("reverse")
            lines[y] = Text.assemble(*cut)
        console = Console(
            record=True,
            width=_WIDTH,
            height=_HEIGHT,
            file=io.StringIO(),
            force_terminal=True,
            color_system="truecolor",
        )
        for line in lines:
            console.print(line, no_wrap=True, crop=True)
        return console.export_svg(title="")

    def until(self, pattern: str) -> None:
        """Wait until something is seen."""
        deadline = time.monotonic() + _SECONDS
        while not re.search(pattern, self.words()):
            if time.monotonic() > deadline:
                raise SystemExit(f"no {pattern!r} in:\n{self.words()}")
            time.sleep(0.05)

    def close(self) -> None:
        """End it."""
        self._tmux("kill-server")


def configuration(language: str) -> str:
    """Return the block of docs/editors.md in a language."""
    found = re.search(rf"```{language}\n(.*?)```", (HERE / "editors.md").read_text(), re.DOTALL)
    assert found is not None, language
    return found[1]


def draw(name: str, cast: Cast) -> None:
    """Drive an editor, and draw what is seen."""
    pictures: list[str] = []
    seconds: list[float] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as given:
        folder, home = Path(given), Path(given) / "home"
        setup = home / cast.place
        setup.parent.mkdir(parents=True)
        setup.write_text(configuration(cast.language))
        (folder / "me" / ".git").mkdir(parents=True)
        (folder / "me" / "shop.py").write_text(cast.text)
        os.environ.pop("TMUX", None)
        terminal = Terminal(folder, home, cast.command)
        try:
            time.sleep(5)  # for the server to start: what is typed before is not asked about
            for act in cast.acts:
                for key in act.keys:
                    terminal.press(key)
                    if act.typed:
                        time.sleep(0.1)
                        pictures.append(terminal.picture())
                        seconds.append(_KEY)
                terminal.until(act.seen)
                time.sleep(0.3)
                if act.drawn:
                    pictures.append(terminal.picture())
                    seconds.append(_STILL)
        finally:
            terminal.close()
    (HERE / f"{name}.svg").write_text(film(pictures, seconds))
    print(f"docs/{name}.svg: {len(pictures)} pictures")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or CASTS:
        draw(chosen, CASTS[chosen])
