"""The signs beside the lines: one for each thing, none of them told by colour alone.

Knows characters and the names of styles.
"""

SIGNS = " ┃╏▁▔"
"""For each mark of a line, see `LineMark`."""
FLAWED = "×!··"
"""For a line with a problem, by how bad it is, the worst first."""
SIGNED = (
    *("sign", "line-added", "line-changed", "line-removed", "line-removed"),
    *("sign-error", "sign-warning", "sign-note", "sign-note"),
)
"""The style classes: a hole's, each mark's, then each problem's."""
PROBLEMS = ("error", "warning", "note", "note")
"""The style classes of a text with a problem, the worst first."""


def sign_of(mark: int, worst: int, *, held: bool, unsure: bool) -> tuple[str, int]:
    """Return a line's sign, and where in `SIGNED` its style is. Of several the first counts: an
    infill or a hole, the worst problem, from 1, or 0 for none, the line's mark.
    """
    if unsure or held:
        return "?" if unsure else "▌", 0
    return (FLAWED[worst - 1], len(SIGNS) + worst - 1) if worst else (SIGNS[mark], mark)
