"""Signals arrive as values in a queue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from signal import SIGUSR1, SIGUSR2
from types import FrameType

import gevent
import pytest
from gevent.queue import Queue

from kombu_green.clock import Deadline
from kombu_green.green.signals import SignalQueue
from kombu_green.testing import stress_service

SOON = 10.0


@pytest.fixture
def earlier() -> Iterator[list[int]]:
    """What the handlers that were there before have seen."""
    seen: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    before = {number: signal.signal(number, handler) for number in (SIGUSR1, SIGUSR2)}
    yield seen
    for number, handler_before in before.items():
        signal.signal(number, handler_before)


@pytest.fixture
def signals(earlier: list[int]) -> Iterator[SignalQueue]:
    service = SignalQueue(SIGUSR1, SIGUSR2)
    service.start()
    yield service
    service.stop(Deadline.after(SOON))


def test_signals_are_received_in_order_of_arrival(signals: SignalQueue, earlier: list[int]) -> None:
    for number in (SIGUSR2, SIGUSR1, SIGUSR2):
        os.kill(os.getpid(), number)
        assert signals.get(Deadline.after(SOON)) is number
    assert earlier == []


def test_a_hub_that_waits_in_the_kernel_is_woken(signals: SignalQueue) -> None:
    sender = subprocess.Popen(
        [sys.executable, "-c", f"import os, time; time.sleep(0.1); os.kill({os.getpid()}, {int(SIGUSR1)})"]
    )
    began = time.monotonic()
    assert signals.get(Deadline.after(SOON)) is SIGUSR1
    assert sender.wait(SOON) == 0
    assert time.monotonic() - began < SOON


def test_the_deadline_is_kept(signals: SignalQueue) -> None:
    with pytest.raises(TimeoutError, match="no signal came"):
        signals.get(Deadline.after(0))
    with pytest.raises(TimeoutError, match="no signal came"):
        signals.get(Deadline.after(0.01))


def test_iterating_ends_with_the_service(signals: SignalQueue) -> None:
    taken: Queue[int] = Queue()

    def take() -> None:
        for number in signals:
            taken.put(number)

    taker = gevent.spawn(take)
    for number in (SIGUSR1, SIGUSR2):
        os.kill(os.getpid(), number)
        assert taken.get(timeout=SOON) is number
    signals.stop(Deadline.after(SOON))
    taker.get(timeout=SOON)


def test_a_stop_ends_every_wait(signals: SignalQueue) -> None:
    waiting = [gevent.spawn(signals.get) for _ in range(3)]
    gevent.sleep(0)
    signals.stop(Deadline.after(SOON))
    for greenlet in waiting:
        with pytest.raises(TimeoutError, match="was stopped"):
            greenlet.get(timeout=SOON)


def test_a_stop_restores_the_earlier_handlers(signals: SignalQueue, earlier: list[int]) -> None:
    signals.stop(Deadline.after(SOON))
    signal.raise_signal(SIGUSR1)
    assert earlier == [SIGUSR1]


def test_only_the_main_thread_may_watch() -> None:
    caught: list[BaseException] = []

    def elsewhere() -> None:
        try:
            SignalQueue(SIGUSR1).start()
        except RuntimeError as error:
            caught.append(error)
        gevent.get_hub().destroy(destroy_loop=True)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(SOON)
    assert [str(error) for error in caught] == ["signals are watched by the main thread's hub only"]


def test_it_is_a_service(earlier: list[int]) -> None:
    stress_service(lambda: SignalQueue(SIGUSR1, SIGUSR2))
    signal.raise_signal(SIGUSR2)
    assert earlier == [SIGUSR2]
