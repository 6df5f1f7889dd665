"""The life cycle of a service."""

from __future__ import annotations

import pytest

from kombu_green.clock import Deadline
from kombu_green.service import Service


class Recorded(Service):
    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[str] = []
        self.error = error

    def on_start(self) -> None:
        self.calls.append("start")
        if self.error is not None:
            raise self.error

    def on_stop(self, deadline: Deadline) -> None:
        self.calls.append("stop")


def test_starting_and_stopping_twice_is_doing_it_once() -> None:
    service = Recorded()
    running = []
    for _ in range(2):
        service.start()
        running.append(service.running)
    for _ in range(2):
        service.stop(Deadline.after(0))
        running.append(service.running)
    assert running == [True, True, False, False]
    assert service.calls == ["start", "stop"]


def test_it_can_be_started_again() -> None:
    service = Recorded()
    for _ in range(2):
        service.start()
        service.stop(Deadline.after(0))
    assert service.calls == ["start", "stop"] * 2


def test_a_start_that_fails_is_undone_and_raised() -> None:
    service = Recorded(ConnectionError("no"))
    with pytest.raises(ConnectionError):
        service.start()
    assert not service.running
    assert service.calls == ["start", "stop"]
