"""One message, from its delivery to its verdict: find the callback, decode, call, judge, settle."""

from __future__ import annotations

import logging
from typing import Final

import gevent

from kombu_green.control.recorder import key_of
from kombu_green.dispatch.history import attempt_of
from kombu_green.dispatch.outcome import DeadLetter, Requeue, Verdict
from kombu_green.dispatch.policy import RetryPolicy, decide, verdict_of
from kombu_green.dispatch.registry import Registry, Route
from kombu_green.exceptions import DecodeError
from kombu_green.green.threads import Threads
from kombu_green.message import Message
from kombu_green.worker.gate import Gate, GateClosed
from kombu_green.worker.identity import identify
from kombu_green.worker.recording import Desk, FlightRecorder
from kombu_green.worker.settling import Settler

__all__ = ["Handler", "TimeLimitExceeded"]

log = logging.getLogger(__name__)


class TimeLimitExceeded(Exception):
    """Raised inside a callback that ran longer than its time limit; a failure like any other."""


class Handler:
    """Handles the messages of one queue; its :meth:`handle` is what the slots run.

    With *flight* each message stands at its slot's desk while it is handled, and one that was delivered before asks at
    *gate* first.
    """

    def __init__(
        self,
        queue: str,
        registry: Registry,
        settler: Settler,
        policy: RetryPolicy,
        *,
        accept: frozenset[str] | None,
        time_limit: float | None,
        hard_time_limit: float | None = None,
        threads: Threads,
        offload: bool,
        flight: FlightRecorder | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.queue: Final = queue
        self._registry: Final = registry
        self._settler: Final = settler
        self._policy: Final = policy
        self._accept: Final = accept
        self._time_limit: Final = time_limit
        self._hard_limit: Final = hard_time_limit or 0.0
        self._threads: Final = threads
        self._offload: Final = offload
        self._flight: Final = flight
        self._gate: Final = gate or Gate()
        #: what stands for callbacks in the recorder, by the ids of their routes, which the registry keeps
        self._names: Final[dict[int, int]] = {}

    def handle(self, message: Message) -> None:
        """Raises nothing but what kills a greenlet."""
        message.accept = self._accept
        route = self._registry.route(self.queue, message)
        if route is None:
            self._settler.settle(message, DeadLetter("no callback takes it"))
        elif self._flight is None:
            self._settler.settle(message, self._verdict(route, message))
        elif self._gate.guarded and message.delivery_info.get("redelivered"):
            self._asked(route, message, self._flight.desk())
        else:
            self._recorded(route, message, self._flight.desk(), identify(self.queue, message))

    def _asked(self, route: Route, message: Message, desk: Desk) -> None:
        origin = identify(self.queue, message)
        key = key_of(origin)
        try:
            parked = self._gate.ask(desk.number, key, self.queue)
        except GateClosed:
            self._settler.settle(message, Requeue())
            self._gate.settled(desk.number, key, back=True)  # or the parent might wait for it, with others behind
            return
        if parked:
            self._settler.settle(message, DeadLetter(parked))
        else:
            self._recorded(route, message, desk, origin)
        self._gate.settled(desk.number, key)

    def _recorded(self, route: Route, message: Message, desk: Desk, origin: bytes) -> None:
        name = self._names.get(id(route))
        if name is None:
            name = self._named(route)
        desk.begin(name, message, origin, self._hard_limit, self._offloads(route))
        try:
            self._settler.settle(message, self._verdict(route, message))
        finally:
            desk.end()

    def _named(self, route: Route) -> int:
        assert self._flight is not None
        name = self._names[id(route)] = self._flight.name(self.queue, route.name)
        return name

    def _verdict(self, route: Route, message: Message) -> Verdict:
        try:
            return verdict_of(self._call(route, message))
        except (gevent.GreenletExit, KeyboardInterrupt):
            raise  # not a failure of the callback: the process stops, and the message goes back
        except BaseException as error:
            attempt = attempt_of(message.headers, self.queue)
            if not isinstance(error, DecodeError):  # nobody's code failed: there is no traceback to look at
                log.warning("%s: %s failed at attempt %d", self.queue, message, attempt, exc_info=error)
            return decide(error, attempt, route.policy or self._policy)

    def _call(self, route: Route, message: Message) -> object:
        body = message.payload
        if self._offloads(route):
            return self._threads.call(route.function, body, message)
        limit = self._time_limit if route.time_limit is None else route.time_limit
        if limit is None:
            return route.function(body, message)
        with gevent.Timeout(limit, TimeLimitExceeded(f"{route.name} ran longer than its time limit of {limit:g} s")):
            return route.function(body, message)

    def _offloads(self, route: Route) -> bool:
        return self._offload if route.offload is None else route.offload
