"""The bar takes the letter that is meant for it, and no letter twice."""

from __future__ import annotations

import pytest
from textual import events

from dgedit.tui.widgets import question_bar as bar
from dgedit.tui.widgets.question_bar import Question

from ..conftest import OpenDesk
from ..editor.test_editor import CODE
from ..workspace.test_saving import asked


async def test_letter_after_f10_is_never_text(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}) as d:
        for key in ("f10", "r"):
            d.app.post_message(events.Key(key, key if key == "r" else None))
        await d.settled()
        assert asked(d) == "" and d.app.focused is d.app.editor
        assert d.app.editor.text.encode() == CODE
        await d.press("f10")
        assert asked(d) == "nothing is asked"
        await d.press("escape", "r")
        assert asked(d) == "" and d.app.editor.text.encode() == b"r" + CODE


async def test_bar_with_nothing_to_ask_is_there_again_with_the_window(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}) as d:
        await d.press("f10")
        for event in (events.AppBlur(), events.AppFocus()):
            d.app.post_message(event)
            await d.settled()
        assert asked(d) == "nothing is asked"
        await d.press("x", "y")
        assert asked(d) == "" and d.app.editor.text.encode() == b"y" + CODE


async def test_question_withdrawn_before_the_letter_keeps_it_from_the_text(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}) as d:
        question = Question("first", {"x": "yes"}, lambda letter: None)
        d.app.questions.ask_about(d.app.editor, question)
        await d.press("f10")
        d.app.questions.withdraw(question)
        await d.press("x")
        assert asked(d) == "" and d.app.editor.text.encode() == CODE


async def test_letter_answers_one_question_alone(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE}) as d:
        answered: list[str] = []

        def ask(words: str) -> None:
            def answer(letter: str) -> None:
                answered.append(words)
                d.app.questions.withdraw(question)

            question = Question(words, {"x": "yes"}, answer)
            d.app.questions.ask_about(d.app.editor, question)

        ask("first")
        ask("second")
        for key in ("f10", "x", "x"):
            d.app.post_message(events.Key(key, key if key == "x" else None))
        await d.until(lambda: bool(answered) and d.app.focused is d.app.editor)
        assert answered == ["first"] and asked(d) == "second"
        assert d.app.editor.text.encode() == CODE


async def test_letter_for_one_question_does_not_answer_the_next(
    desk: OpenDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk({"a.py": CODE}) as d:
        answered: list[str] = []
        first, second = (
            Question(words, {"x": "yes"}, lambda letter, words=words: answered.append(words))  # type: ignore[misc]
            for words in ("first", "second")
        )
        d.app.questions.ask_about(d.app.editor, first)
        await d.press("f10")
        monkeypatch.setattr(bar, "_UNSEEN", 1e9)
        d.app.questions.ask_about(d.app.editor, second)
        d.app.questions.withdraw(first)
        await d.press("x")
        assert (answered, asked(d), d.app.focused) == ([], "second", d.app.workspace.bar)
        monkeypatch.setattr(bar, "_UNSEEN", 0)
        await d.press("x")
        assert answered == ["second"] and d.app.editor.text.encode() == CODE


async def test_file_that_comes_to_the_front_leaves_the_keyboard_to_the_bar(desk: OpenDesk) -> None:
    async with desk({"a.py": CODE, "b.py": CODE}) as d:
        await d.press("f10")
        d.app.workspace.show(d.app.editors[1])
        await d.settled()
        assert d.app.focused is d.app.workspace.bar
        await d.press("r", "x")
        assert [one.text.encode() for one in d.app.editors] == [CODE, b"x" + CODE]
