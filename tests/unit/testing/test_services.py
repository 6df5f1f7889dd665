"""The trial must find what is wrong: each service here is wrong in one way."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from kombu_green.clock import Deadline
from kombu_green.service import Service
from kombu_green.testing import stress_service


class Sound(Service):
    def on_start(self) -> None:
        self.greenlet = gevent.spawn(Event().wait)

    def on_stop(self, deadline: Deadline) -> None:
        self.greenlet.kill()


class Leaky(Sound):
    def on_stop(self, deadline: Deadline) -> None:
        pass


class Hanging(Service):
    stops = 0

    def on_stop(self, deadline: Deadline) -> None:
        self.stops += 1
        if self.stops > 5:
            Event().wait()


class Late(Service):
    def on_stop(self, deadline: Deadline) -> None:
        gevent.sleep(0.3)


class TwiceStarted(Service):
    def start(self) -> None:
        self._running = True
        self.on_start()


class Once(Service):
    started = False

    def on_start(self) -> None:
        if self.started:
            raise RuntimeError("cannot be started again")
        self.started = True


class StillRunning(Service):
    def stop(self, deadline: Deadline) -> None:
        pass


def test_a_correct_service_passes() -> None:
    stress_service(Sound)


@pytest.mark.parametrize(
    ("service", "error", "complaint"),
    [
        (Leaky, AssertionError, "left behind"),
        (Hanging, AssertionError, "hang in start or stop"),
        (Late, TimeoutError, "stopping the service"),
        (TwiceStarted, AssertionError, "do not take turns"),
        (Once, RuntimeError, "cannot be started again"),
        (StillRunning, AssertionError, "was stopped and runs"),
    ],
)
def test_each_kind_of_mistake_is_found(service: type[Service], error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        stress_service(service, seconds={Hanging: 2, Late: 0.2}.get(service, 30))
