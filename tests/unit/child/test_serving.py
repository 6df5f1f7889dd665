"""What is told to the parent when a process cannot boot."""

from __future__ import annotations

from kombu_green.child.serving import fitting
from kombu_green.config.problems import ConfigError, Problem, problems_of
from kombu_green.exceptions import AccessRefused
from kombu_green.ipc.messages import LONGEST_LINE, encode


def test_one_line_for_each_problem() -> None:
    assert problems_of(ConfigError([Problem("a", "F:1"), Problem("b")])) == ["F:1: a", "b"]
    assert problems_of(AccessRefused("no")) == ["no"]
    assert problems_of(AccessRefused()) == ["AccessRefused"]


def test_whatever_the_problems_are_they_can_be_sent() -> None:
    note = fitting(["\x00😀" * 100_000] * 1000)
    assert len(encode(note)) < LONGEST_LINE
    assert note.problems[-1] == "and 960 more"
    assert fitting(["a", "b"]).problems == ["a", "b"]
