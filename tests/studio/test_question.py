"""What commands of tenfold answer to a window."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tenfold.studio.errors import StudioError
from tenfold.studio.question import Question


def test_a_question_that_is_withdrawn_is_not_asked() -> None:
    question = Question("names")
    question.withdraw()
    with pytest.raises(StudioError, match="withdrawn"):
        question.answer()
    assert question._child is None


@pytest.mark.slow
@pytest.mark.usefixtures("surroundings")
def test_the_answer_is_that_of_the_command() -> None:
    names = Question("names").answer()
    assert "resnet20" in names["arch"]
    assert "cifar10" in names["data"]


@pytest.mark.slow
@pytest.mark.usefixtures("surroundings")
def test_a_refusal_is_that_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match=r"gone\.toml"):
        Question("preview", "--job", str(tmp_path / "gone.toml"), "--json").answer()


@pytest.mark.slow
@pytest.mark.usefixtures("surroundings")
def test_a_question_that_is_withdrawn_ends_its_process() -> None:
    question = Question("names")
    met: list[StudioError] = []

    def ask() -> None:
        try:
            question.answer()
        except StudioError as error:
            met.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while question._child is None:
        thread.join(0.01)
    question.withdraw()
    thread.join(20)
    assert "withdrawn" in str(met[0])
    assert question._child.returncode == -9
