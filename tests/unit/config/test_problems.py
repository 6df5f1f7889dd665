"""Problems name their place, and an error is a text for each problem."""

from __future__ import annotations

import pytest

from kombu_green.config.problems import ConfigError, Problem, problems_of
from kombu_green.exceptions import AccessRefused


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("is bad", "w.ini:7", "worker", "processes"), "w.ini:7: [worker] processes: is bad"),
        (Problem("is bad", "w.ini:7", "worker"), "w.ini:7: [worker]: is bad"),
        (Problem("is bad", "--set"), "--set: is bad"),
        (Problem("is bad"), "is bad"),
        # a line without its first "=" is cut at the first one of the URL
        (Problem("is bad", "w.ini:7", "broker", "url u:p@h?x"), "w.ini:7: [broker] url u:**@h?x: is bad"),
        (Problem("is bad", "w.ini:7", "queue:a@b", "durable"), "w.ini:7: [queue:a@b] durable: is bad"),
        (Problem("is bad", "--set", "broker.url amqp://u:p@h", "x"), "--set: [broker.url amqp://u:**@h] x: is bad"),
    ],
)
def test_a_problem_names_its_place(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_one_text_for_each_problem() -> None:
    assert problems_of(ConfigError([Problem("a", "F:1"), Problem("b")])) == ["F:1: a", "b"]
    assert problems_of(AccessRefused("no")) == ["no"]
    assert problems_of(AccessRefused()) == ["AccessRefused"]
    assert str(ConfigError([Problem("a", "F:1"), Problem("b")])) == "F:1: a\nb"
