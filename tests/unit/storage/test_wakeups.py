from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.threadpool import ThreadPool

from kombu_green.clock import Deadline
from kombu_green.storage.wakeups import QueueListeners, StoreWakeups, WakeupFlag

PATIENCE = 20.0


def in_a_thread(function: Callable[[], Any]) -> Any:
    pool = ThreadPool(1)
    try:
        return pool.apply(function)
    finally:
        pool.kill()


def test_setting_twice_ends_one_wait() -> None:
    flag = WakeupFlag()
    flag.set()
    flag.set()
    assert flag.wait(None)
    assert not flag.wait(0)
    assert not flag.wait(0.01)


def test_setting_ends_the_wait() -> None:
    flag = WakeupFlag()
    waiting = gevent.spawn(flag.wait, PATIENCE)
    gevent.sleep(0)
    flag.set()
    assert waiting.get(timeout=PATIENCE / 2)


def test_setting_from_a_native_thread_ends_the_wait() -> None:
    flag = WakeupFlag()
    for _ in range(50):
        waiting = gevent.spawn(flag.wait, PATIENCE)
        gevent.sleep(0)
        in_a_thread(flag.set)
        assert waiting.get(timeout=PATIENCE / 2)


def test_threads_may_wait_for_one_flag_one_after_the_other() -> None:
    flag = WakeupFlag()
    assert not flag.wait(0.001)
    assert not in_a_thread(lambda: flag.wait(0.001))
    waiting = gevent.spawn(flag.wait, PATIENCE)
    gevent.sleep(0)
    flag.set()
    assert waiting.get(timeout=PATIENCE / 2)


def test_only_flags_of_those_queues_are_set() -> None:
    listeners, video, audio = QueueListeners(), WakeupFlag(), WakeupFlag()
    with listeners.listen(video, ["video", "both"]), listeners.listen(audio, ["audio", "both"]):
        listeners.wake(["video", "nowhere"])
        assert (video.wait(0), audio.wait(0)) == (True, False)
        listeners.wake(["both"])
        assert (video.wait(0), audio.wait(0)) == (True, True)
        listeners.wake_all()
        assert (video.wait(0), audio.wait(0)) == (True, True)
    listeners.wake(["video", "audio", "both"])
    assert (video.wait(0), audio.wait(0)) == (False, False)


def test_a_killed_wait_stops_listening() -> None:
    listeners = QueueListeners()
    wakeups = StoreWakeups(listeners.listen, lambda queues: None)
    waiting = gevent.spawn(wakeups.wait, ["q"], Deadline.never())
    gevent.sleep(0)
    before = listeners.empty
    waiting.kill()
    assert (before, listeners.empty) == (False, True)


@pytest.mark.parametrize("longest", [None, 0.01])
def test_a_wait_asks_the_store_again_when_something_is_due(longest: float | None) -> None:
    looks: list[float] = []
    started = time.monotonic()

    def due_in(queues: object) -> float:
        looks.append(time.monotonic() - started)
        return max(0.0, started + 0.05 - time.monotonic())

    StoreWakeups(QueueListeners().listen, due_in, longest).wait(["q"], Deadline.after(PATIENCE))
    assert 0.05 <= looks[-1] < PATIENCE / 2
    assert len(looks) >= (2 if longest is None else 3)


def test_a_put_after_the_store_was_asked_is_not_missed() -> None:
    listeners = QueueListeners()

    def due_in(queues: object) -> None:
        listeners.wake(["q"])  # as a put in another thread does, just after the store was asked

    deadline = Deadline.after(PATIENCE)
    StoreWakeups(listeners.listen, due_in).wait(["q"], deadline)
    assert (deadline.remaining() or 0) > PATIENCE / 2
