"""What random keys are drawn from."""

from __future__ import annotations

from hypothesis import strategies as st
from textual.geometry import Offset

SIGNS = [*'ab.:#()" ', "é", "界", "\u0301", "👩", "\u200d", "🇦"]
CHARS = st.text(st.sampled_from(SIGNS), min_size=1, max_size=4)
WORDS = st.sampled_from(["a", "x", "return", "é", "("])


def keys(words: str) -> st.SearchStrategy[str]:
    """One of these keys."""
    return st.sampled_from(words.split())


MOVES = keys(
    "left right up down home end pageup pagedown ctrl+left ctrl+right ctrl+home ctrl+end ctrl+d "
    "ctrl+l ctrl+a ctrl+right_square_bracket shift+left shift+right shift+up shift+down shift+home "
    "shift+end alt+shift+left alt+shift+right ctrl+shift+left ctrl+shift+right "
    "ctrl+shift+home ctrl+shift+end"
)
SIDEWAYS = keys(
    "left right home end ctrl+left ctrl+right ctrl+home ctrl+end ctrl+l ctrl+a shift+left "
    "shift+right shift+home shift+end ctrl+shift+left ctrl+shift+right ctrl+shift+home "
    "ctrl+shift+end ctrl+right_square_bracket"
)
FOLDS = keys("alt+shift+f alt+shift+f alt+shift+a alt+shift+a alt+shift+u alt+shift+e")
COMMANDS = keys(
    "tab shift+tab ctrl+slash alt+up alt+down alt+shift+up alt+shift+down alt+k ctrl+j ctrl+delete "
    "ctrl+u ctrl+k"
)
LOOKS = keys(
    "alt+v alt+c alt+n alt+p left_square_bracket right_square_bracket shift+right shift+left "
    "escape alt+r alt+h"
)
CELLS = st.tuples(st.integers(0, 59), st.integers(1, 13)).map(lambda at: Offset(*at))
TAKES = keys("alt+a alt+w alt+l ctrl+right ctrl+down")
