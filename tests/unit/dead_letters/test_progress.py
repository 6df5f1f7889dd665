"""Progress is shown on terminals only."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from itertools import count

import pytest

from kombu_green import plugins
from kombu_green.dead_letters.progress import with_progress
from kombu_green.exceptions import PluginError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def hours() -> Callable[[], float]:
    """A clock that is an hour later at every look."""
    ticks = count(0.0, 3600.0)
    return lambda: next(ticks)


def at(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard error, from now on; a fixture's would be taken away again by pytest's own capture."""
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def test_nothing_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = at(io.StringIO(), monkeypatch)
    assert list(with_progress("abc", 3, "retried", hours())) == ["a", "b", "c"]
    assert elsewhere.getvalue() == ""


def test_nothing_for_work_that_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at(Terminal(), monkeypatch)
    assert list(with_progress("abc", 3, "retried", lambda: 1.0)) == ["a", "b", "c"]
    assert terminal.getvalue() == ""


def test_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at(Terminal(), monkeypatch)
    pytest.importorskip("rich")
    assert list(with_progress("abc", 3, "retried", hours())) == ["a", "b", "c"]
    assert "retried" in terminal.getvalue()
    assert "100%" in terminal.getvalue()


def test_a_counter_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at(Terminal(), monkeypatch)

    def missing(path: str) -> object:
        raise PluginError(path)

    monkeypatch.setattr(plugins, "load", missing)
    assert list(with_progress("abc", 4, "retried", hours())) == ["a", "b", "c"]
    assert terminal.getvalue() == "\rretried 1 of 4\rretried 2 of 4\rretried 3 of 4\n"
