"""Where greenlets and threads stand, as text."""

from __future__ import annotations

import sys
import threading
from typing import Any

import gevent

from kombu_green.green.stacks import codes, every_stack, stack_of_thread, waits, written


def wait_here() -> None:
    gevent.sleep(1000)


def test_greenlets_that_wait_at_one_place_are_told_once_with_their_names() -> None:
    waiting = [gevent.Greenlet(wait_here) for _ in range(5)]
    for number, greenlet in enumerate(waiting):
        greenlet.name = f"slot {number}"
        greenlet.start()
    gevent.sleep(0)
    try:
        text = every_stack()
    finally:
        gevent.killall(waiting)
    assert text.count("in wait_here") == 1
    assert "greenlet slot 0, slot 1, slot 2 and 2 more:\n" in text


class Lazy:
    """Such as an ORM's: whoever asks what it is makes it load."""

    loaded = False

    @property  # type: ignore[misc]  # as they do it
    def __class__(self) -> Any:
        Lazy.loaded = True
        return Lazy


def test_looking_for_greenlets_runs_no_foreign_code() -> None:
    kept = Lazy()
    kept_too = [kept]  # so that it is among what is looked at
    assert "test_looking_for_greenlets_runs_no_foreign_code" in every_stack()
    assert not Lazy.loaded
    del kept_too


def test_a_stack_is_known_by_its_functions_and_written_from_the_outermost_call() -> None:
    def here() -> tuple[Any, Any]:
        frame = stack_of_thread(threading.get_ident())
        assert frame is not None
        return codes(frame), written(frame)

    first, text = here()
    second, _ = here()
    assert first == second
    assert text.rstrip().endswith("return sys._current_frames().get(number)") or "in here" in text.splitlines()[-2]


def test_a_hub_waits_unless_it_runs_something() -> None:
    assert waits(None)
    assert not waits(sys._getframe())
    gevent.sleep(0)
    assert waits(gevent.get_hub().gr_frame)
