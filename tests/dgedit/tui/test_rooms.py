"""The rooms of the one screen do not hide each other's methods unawares."""

from __future__ import annotations

from itertools import pairwise
from types import FunctionType

import pytest

from dgedit.tui.app import DgeditApp
from dgedit.tui.editor.editor import Editor

CALLED_IN_EACH = {"on_mount", "on_unmount"}
"""By Textual, of every class."""


def methods(cls: type) -> dict[str, FunctionType]:
    found = {name: getattr(one, "__wrapped__", one) for name, one in vars(cls).items()}
    return {name: one for name, one in found.items() if isinstance(one, FunctionType)}


@pytest.mark.parametrize("whole", [DgeditApp, Editor])
def test_who_hides_a_method_calls_it_or_is_a_kind_of_its_owner(whole: type) -> None:
    ours = [one for one in whole.__mro__ if one.__module__.startswith("dgedit.")]
    for name in {name for one in ours for name in methods(one)} - CALLED_IN_EACH:
        owners = [one for one in ours if name in methods(one)]
        for upper, lower in pairwise(owners):
            calls = "super" in methods(upper)[name].__code__.co_names
            assert calls or issubclass(upper, lower), (name, upper, lower)
