"""Waiting by a deadline, in order, and for a file descriptor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import gevent
import pytest

from kombu_green.clock import Deadline
from kombu_green.transport.amqp.socket.waiters import SocketWatch, WaitQueue


def test_those_that_have_waited_longest_are_woken_first() -> None:
    queue = WaitQueue(gevent.get_hub())
    waiting = [gevent.spawn(queue.wait, Deadline.after(20), "nothing") for _ in range(4)]
    gevent.idle()
    queue.wake_first(2)
    gevent.joinall(waiting[:2], timeout=20, raise_error=True)
    assert [greenlet.ready() for greenlet in waiting] == [True, True, False, False]
    queue.wake_all()
    gevent.joinall(waiting, timeout=20, raise_error=True)


def test_one_whose_deadline_passed_says_what_it_waited_for_and_waits_no_more() -> None:
    queue = WaitQueue(gevent.get_hub())
    with pytest.raises(TimeoutError, match="a publish: the deadline passed"):
        queue.wait(Deadline.after(0), "a publish")
    assert len(queue) == 0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


def test_a_watch_ends_its_wait_when_there_is_something_to_read_or_when_it_is_woken(pipe: tuple[int, int]) -> None:
    watch = SocketWatch(gevent.get_hub(), pipe[0])

    def wait() -> None:
        watch.wait(read=True, write=False)

    woken = gevent.spawn(wait)
    gevent.idle()
    assert not woken.ready()
    watch.wake()
    woken.get(timeout=20)
    reading = gevent.spawn(wait)
    gevent.idle()
    assert not reading.ready()
    os.write(pipe[1], b"x")
    reading.get(timeout=20)
    watch.close()
