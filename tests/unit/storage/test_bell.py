from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.threadpool import ThreadPool

from kombu_green.clock import Deadline
from kombu_green.storage.bell import Bell, Bells, BellWakeups

PATIENCE = 20.0


def in_a_thread(function: Callable[[], Any]) -> Any:
    pool = ThreadPool(1)
    try:
        return pool.apply(function)
    finally:
        pool.kill()


def test_a_ring_is_remembered_and_heard_once() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    assert bell.wait(None)
    assert not bell.wait(0)
    assert not bell.wait(0.01)


def test_a_ring_ends_the_wait() -> None:
    bell = Bell()
    waiting = gevent.spawn(bell.wait, PATIENCE)
    gevent.sleep(0)
    bell.ring()
    assert waiting.get(timeout=PATIENCE / 2)


def test_a_ring_from_a_native_thread_ends_the_wait() -> None:
    bell = Bell()
    for _ in range(50):
        waiting = gevent.spawn(bell.wait, PATIENCE)
        gevent.sleep(0)
        in_a_thread(bell.ring)
        assert waiting.get(timeout=PATIENCE / 2)


def test_a_bell_can_be_heard_in_one_thread_and_then_in_another() -> None:
    bell = Bell()
    assert not bell.wait(0.001)
    assert not in_a_thread(lambda: bell.wait(0.001))
    waiting = gevent.spawn(bell.wait, PATIENCE)
    gevent.sleep(0)
    bell.ring()
    assert waiting.get(timeout=PATIENCE / 2)


def test_only_the_bells_of_those_queues_ring() -> None:
    bells, video, audio = Bells(), Bell(), Bell()
    with bells.listening(video, ["video", "both"]), bells.listening(audio, ["audio", "both"]):
        bells.ring(["video", "nowhere"])
        assert (video.wait(0), audio.wait(0)) == (True, False)
        bells.ring(["both"])
        assert (video.wait(0), audio.wait(0)) == (True, True)
        bells.ring_all()
        assert (video.wait(0), audio.wait(0)) == (True, True)
    bells.ring(["video", "audio", "both"])
    assert (video.wait(0), audio.wait(0)) == (False, False)


def test_nobody_listens_after_a_wait_that_was_killed() -> None:
    bells = Bells()
    wakeups = BellWakeups(bells.listening, lambda queues: None)
    waiting = gevent.spawn(wakeups.wait, ["q"], Deadline.never())
    gevent.sleep(0)
    before = bells.silent
    waiting.kill()
    assert (before, bells.silent) == (False, True)


@pytest.mark.parametrize("longest", [None, 0.01])
def test_it_looks_again_when_something_is_due(longest: float | None) -> None:
    looks: list[float] = []
    started = time.monotonic()

    def look(queues: object) -> float:
        looks.append(time.monotonic() - started)
        return max(0.0, started + 0.05 - time.monotonic())

    BellWakeups(Bells().listening, look, longest).wait(["q"], Deadline.after(PATIENCE))
    assert 0.05 <= looks[-1] < PATIENCE / 2
    assert len(looks) >= (2 if longest is None else 3)


def test_a_put_between_listening_and_looking_is_not_missed() -> None:
    bells = Bells()

    def look(queues: object) -> None:
        bells.ring(["q"])  # as a put in another thread does, just after the look found nothing

    deadline = Deadline.after(PATIENCE)
    BellWakeups(bells.listening, look).wait(["q"], deadline)
    assert (deadline.remaining() or 0) > PATIENCE / 2
