"""One message, from its delivery to its verdict: find the callback, decode, call, judge, settle."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from time import monotonic
from typing import Final

import gevent

from kombu_green.dispatch.history import attempt_of
from kombu_green.dispatch.outcome import DeadLetter, Requeue, Verdict
from kombu_green.dispatch.policy import RetryPolicy, decide, verdict_of
from kombu_green.dispatch.registry import Callback, Registry, Route
from kombu_green.exceptions import DecodeError
from kombu_green.green.threads import Threads
from kombu_green.ipc.message_keys import message_key
from kombu_green.ipc.recorder import RowState, RowWriter
from kombu_green.message import Message
from kombu_green.serialization import prepare_accept_content
from kombu_green.worker.gate import Gate, GateClosed
from kombu_green.worker.identity import Identity
from kombu_green.worker.recording import FlightRecorder
from kombu_green.worker.settling import Settler
from kombu_green.worker.spec import ConsumerSpec

__all__ = ["Handler", "Job", "TimeLimitExceeded"]

log = logging.getLogger(__name__)


class TimeLimitExceeded(Exception):
    """Raised inside a callback that ran longer than its time limit; a failure like any other."""


@dataclass(frozen=True, slots=True)
class Job:
    """A callback with its options, those of the consumer filled in."""

    callback: str
    function: Callback
    policy: RetryPolicy
    time_limit: float | None  # seconds
    offload: bool
    name: int  # what stands for queue and callback in the recorder
    state: int  # of a row while it runs


class Handler:
    """Handles the messages of one queue as *spec* says; its :meth:`handle` is what the slots run.

    What is offloaded goes to *threads*.  With *flight* each message stands in its slot's row while it is handled, and
    one that was delivered before asks at *gate* first.
    """

    def __init__(
        self,
        spec: ConsumerSpec,
        registry: Registry,
        settler: Settler,
        threads: Threads,
        *,
        flight: FlightRecorder | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.queue: Final = spec.queue.name
        self._spec: Final = spec
        self._accept: Final = prepare_accept_content(spec.accept)
        self._hard_limit: Final = spec.hard_time_limit or 0.0
        self._registry: Final = registry
        self._settler: Final = settler
        self._threads: Final = threads
        self._flight: Final = flight
        self._gate: Final = gate or Gate()
        self._identity: Final = Identity(self.queue)
        self._jobs: Final[dict[int, Job]] = {}  # by the ids of their routes, which the registry keeps

    def handle(self, message: Message) -> None:
        """Raises nothing but what kills a greenlet."""
        message.accept = self._accept
        route = self._registry.route(self.queue, message)
        if route is None:
            self._settler.settle(message, DeadLetter("no callback takes it"))
            return
        job = self._jobs.get(id(route)) or self._job(route)
        flight = self._flight
        if flight is None:
            self._settler.settle(message, self._verdict(job, message))
        elif self._gate.guarded and message.delivery_info.get("redelivered"):
            self._asked(job, message, flight.row())
        else:
            self._recorded(job, message, flight.row(), self._identity.origin(message))

    def _asked(self, job: Job, message: Message, row: RowWriter) -> None:
        origin = self._identity.origin(message)
        key = message_key(origin)
        try:
            parked = self._gate.ask(row.number, key, self.queue)
        except GateClosed:
            self._settler.settle(message, Requeue())
            self._gate.settled(row.number, key, back=True)  # or the parent might wait for it, with others behind
            return
        if parked:
            self._settler.settle(message, DeadLetter(parked))
        else:
            self._recorded(job, message, row, origin)
        self._gate.settled(row.number, key)

    def _recorded(self, job: Job, message: Message, row: RowWriter, origin: bytes) -> None:
        row.begin(job.name, origin, monotonic(), self._hard_limit, job.state)
        try:
            self._settler.settle(message, self._verdict(job, message))
        finally:
            row.end()

    def _verdict(self, job: Job, message: Message) -> Verdict:
        try:
            return verdict_of(self._call(job, message))
        except (gevent.GreenletExit, KeyboardInterrupt):
            raise  # not a failure of the callback: the process stops, and the message goes back
        except BaseException as error:
            attempt = attempt_of(message.headers, self.queue)
            if not isinstance(error, DecodeError):  # nobody's code failed: there is no traceback to look at
                log.warning("%s: %s failed at attempt %d", self.queue, message, attempt, exc_info=error)
            return decide(error, attempt, job.policy)

    def _call(self, job: Job, message: Message) -> object:
        body = message.payload
        if job.offload:
            return self._threads.call(job.function, body, message)
        limit = job.time_limit
        if limit is None:
            return job.function(body, message)
        with gevent.Timeout(limit, TimeLimitExceeded(f"{job.callback} ran longer than its time limit of {limit:g} s")):
            return job.function(body, message)

    def _job(self, route: Route) -> Job:
        spec, callback = self._spec, route.name
        offload = spec.offload if route.offload is None else route.offload
        job = self._jobs[id(route)] = Job(
            callback=callback,
            function=route.function,
            policy=route.policy or spec.policy,
            time_limit=spec.time_limit if route.time_limit is None else route.time_limit,
            offload=offload,
            name=0 if self._flight is None else self._flight.name(self.queue, callback),
            state=int(RowState.OFFLOADED if offload else RowState.RUNNING),
        )
        return job
