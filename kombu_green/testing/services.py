"""A stress test for any :class:`~kombu_green.service.Service`."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from typing import Any

import gevent

from kombu_green.clock import Deadline
from kombu_green.service import Service

__all__ = ["stress_service"]


def stress_service(
    make: Callable[[], Service], *, seconds: float = 30.0, greenlets: int = 10, calls: int = 20, seed: int = 0
) -> None:
    """Start and stop what *make* returns, one after the other and then many times at once.

    Fails with ``AssertionError`` unless starting and stopping twice is the same as once, a stopped service can be
    started again, every stop comes back by its deadline, each ``on_stop`` follows one ``on_start``, and no greenlet is
    left at the end.  *seconds* bounds the whole test.
    """
    deadline = Deadline.after(seconds)
    before = _living()
    service = make()
    steps = _noted(service)
    _in_order(service, deadline)
    crowd = [gevent.spawn(_at_random, service, random.Random(seed + n), calls, deadline) for n in range(greenlets)]
    gevent.joinall(crowd, timeout=deadline.remaining())
    stuck = [greenlet for greenlet in crowd if not greenlet.ready()]
    gevent.killall(stuck, block=False)
    assert not stuck, f"{len(stuck)} of {greenlets} greenlets hang in start or stop after {seconds} s"
    for greenlet in crowd:
        greenlet.get(block=False)
    _stop(service, deadline)
    assert steps == ["start", "stop"] * (len(steps) // 2), f"starts and stops do not take turns: {steps}"
    left = _living() - before - {gevent.getcurrent()}
    assert not left, f"left behind: {sorted(map(repr, left))}"


def _in_order(service: Service, deadline: Deadline) -> None:
    _stop(service, deadline)
    for _ in range(3):
        service.start()
        service.start()
        assert service.running, "it was started and does not run"
        _stop(service, deadline)
        _stop(service, deadline)


def _at_random(service: Service, choice: random.Random, calls: int, deadline: Deadline) -> None:
    for _ in range(calls):
        if choice.random() < 0.5:
            service.start()
        else:
            service.stop(deadline)
        gevent.sleep(0 if choice.random() < 0.5 else 0.001 * choice.random())


def _stop(service: Service, deadline: Deadline) -> None:
    service.stop(deadline)
    assert not service.running, "it was stopped and runs"
    deadline.check("stopping the service")


def _noted(service: Service) -> list[str]:
    """The list to which every ``on_start`` and ``on_stop`` of *service* will be added as it begins."""
    steps: list[str] = []

    def noting(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any) -> Any:
            steps.append(step)
            return function(*args)

        return noted

    for step in ("start", "stop"):
        setattr(service, f"on_{step}", noting(step, getattr(service, f"on_{step}")))
    return steps


def _living() -> set[Any]:
    gc.collect()
    return {thing for thing in gc.get_objects() if issubclass(type(thing), gevent.Greenlet) and not thing.ready()}
