"""The stacks of greenlets and threads as text."""

from __future__ import annotations

import sys
import threading
from typing import Any

import gevent

from kombu_green.green.stacks import code_objects, format_all_stacks, format_stack, is_hub_waiting, thread_frame


def wait_here() -> None:
    gevent.sleep(1000)


def test_equal_stacks_of_greenlets_are_written_once_with_the_names() -> None:
    waiting = [gevent.Greenlet(wait_here) for _ in range(5)]
    for number, greenlet in enumerate(waiting):
        greenlet.name = f"slot {number}"
        greenlet.start()
    gevent.sleep(0)
    try:
        text = format_all_stacks()
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
    assert "test_looking_for_greenlets_runs_no_foreign_code" in format_all_stacks()
    assert not Lazy.loaded
    del kept_too


def test_stacks_are_compared_by_their_functions_and_written_from_the_outermost_call() -> None:
    def here() -> tuple[Any, Any]:
        frame = thread_frame(threading.get_ident())
        assert frame is not None
        return code_objects(frame), format_stack(frame)

    first, text = here()
    second, _ = here()
    assert first == second
    assert text.rstrip().endswith("return sys._current_frames().get(thread)") or "in here" in text.splitlines()[-2]


def test_a_hub_waits_unless_it_runs_something() -> None:
    assert is_hub_waiting(None)
    assert not is_hub_waiting(sys._getframe())
    gevent.sleep(0)
    assert is_hub_waiting(gevent.get_hub().gr_frame)
