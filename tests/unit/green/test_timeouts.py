"""A deadline is raised around code that takes none."""

from __future__ import annotations

import gevent
import pytest

from kombu_green.clock import Deadline
from kombu_green.green.timeouts import raise_at


def test_the_error_says_what_was_not_done_in_time() -> None:
    with pytest.raises(TimeoutError) as caught, raise_at(Deadline.after(0.01), "logging in"):
        gevent.sleep(30)
    assert str(caught.value) == "logging in: the deadline passed"


def test_what_is_done_in_time_is_not_interrupted_later() -> None:
    with raise_at(Deadline.after(0.01), "logging in"):
        pass
    gevent.sleep(0.03)


def test_without_an_end_nothing_is_raised() -> None:
    with raise_at(Deadline.never(), "logging in"):
        gevent.sleep(0.01)
