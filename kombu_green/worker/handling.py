"""One message, from its delivery to its verdict: find the callback, decode, call, judge, settle."""

from __future__ import annotations

import logging
from typing import Final

import gevent

from kombu_green.dispatch.history import attempt_of
from kombu_green.dispatch.outcome import DeadLetter, Verdict
from kombu_green.dispatch.policy import RetryPolicy, decide, verdict_of
from kombu_green.dispatch.registry import Registry, Route
from kombu_green.exceptions import DecodeError
from kombu_green.green.threads import Threads
from kombu_green.message import Message
from kombu_green.worker.settling import Settler

__all__ = ["Handler", "TimeLimitExceeded"]

log = logging.getLogger(__name__)


class TimeLimitExceeded(Exception):
    """Raised inside a callback that ran longer than its time limit; a failure like any other."""


class Handler:
    """Handles the messages of one queue; its :meth:`handle` is what the slots run."""

    def __init__(
        self,
        queue: str,
        registry: Registry,
        settler: Settler,
        policy: RetryPolicy,
        *,
        accept: frozenset[str] | None,
        time_limit: float | None,
        threads: Threads,
        offload: bool,
    ) -> None:
        self.queue: Final = queue
        self._registry: Final = registry
        self._settler: Final = settler
        self._policy: Final = policy
        self._accept: Final = accept
        self._time_limit: Final = time_limit
        self._threads: Final = threads
        self._offload: Final = offload

    def handle(self, message: Message) -> None:
        """Raises nothing but what kills a greenlet."""
        message.accept = self._accept
        route = self._registry.route(self.queue, message)
        if route is None:
            verdict: Verdict = DeadLetter("no callback takes it")
        else:
            verdict = self._verdict(route, message)
        self._settler.settle(message, verdict)

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
        offload = self._offload if route.offload is None else route.offload
        if offload:
            return self._threads.call(route.function, body, message)
        limit = self._time_limit if route.time_limit is None else route.time_limit
        if limit is None:
            return route.function(body, message)
        with gevent.Timeout(limit, TimeLimitExceeded(f"{route.name} ran longer than its time limit of {limit:g} s")):
            return route.function(body, message)
