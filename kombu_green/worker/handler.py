"""One message, from its delivery to its settlement: find the callback, call it, decide, settle.

Everything else that surrounds a message is a *stage* around these steps, and the handler does not know it: middleware,
the flight recorder, the redelivery gate and early acks.  :mod:`kombu_green.worker.pipeline` puts them together, once
for each callback.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import gevent

from kombu_green.dispatch.history import attempt_of
from kombu_green.dispatch.middleware import Attempt, MiddlewareStack
from kombu_green.dispatch.outcome import DeadLetter, Verdict
from kombu_green.dispatch.policy import RetryPolicy, decide, verdict_of
from kombu_green.dispatch.registry import Callback, Registry, Route
from kombu_green.exceptions import DecodeError
from kombu_green.green.threads import Threads
from kombu_green.message import Message
from kombu_green.serialization import prepare_accept_content
from kombu_green.worker.spec import ConsumerSpec

__all__ = ["Handler", "Job", "Process", "Settle", "Stage", "TimeLimitExceeded"]

log = logging.getLogger(__name__)

#: handles one message whose callback is known, and settles it
Process = Callable[[Message], None]
#: carries out a verdict and returns the one that was carried out, or None: ``Settler.settle``
Settle = Callable[[Message, Verdict], Verdict | None]


class TimeLimitExceeded(Exception):
    """Raised inside a callback that ran longer than its time limit; a failure like any other."""


@dataclass(frozen=True, slots=True)
class Job:
    """A callback with its options; those that it does not have are the consumer's."""

    callback: str
    function: Callback
    policy: RetryPolicy
    time_limit: float | None  # seconds
    offload: bool


class Stage:
    """What surrounds the handling of a message.  Each method returns what it gets, or something that calls it."""

    def around_attempt(self, job: Job, attempt: Attempt) -> Attempt:
        """Around one attempt, from decoding to the verdict; what it raises is a failure of the callback."""
        return attempt

    def around_process(self, job: Job, process: Process) -> Process:
        """Around the attempt and its settlement; must not raise."""
        return process


class Handler:
    """Handles the messages of one queue as *spec* says; :meth:`handle` is what its slots run.

    *settle* carries out verdicts.  Callbacks that are offloaded run in *threads*.  *stages* are the outermost first.
    """

    def __init__(
        self,
        spec: ConsumerSpec,
        registry: Registry,
        settle: Settle,
        threads: Threads,
        *,
        middleware: MiddlewareStack | None = None,
        stages: tuple[Stage, ...] = (),
    ) -> None:
        self.queue: Final = spec.queue.name
        self._spec: Final = spec
        self._accept: Final = prepare_accept_content(spec.accept)
        self._registry: Final = registry
        self._settle: Final = settle
        self._threads: Final = threads
        self._middleware: Final = middleware or MiddlewareStack()
        self._stages: Final = stages
        self._processes: Final[dict[int, Process]] = {}  # by the ids of their routes, which the registry keeps

    def handle(self, message: Message) -> None:
        """Handle and settle *message*.  Raises nothing but what kills a greenlet."""
        message.accept = self._accept
        route = self._registry.route(self.queue, message)
        if route is None:
            self._settle(message, DeadLetter("no callback takes it"))
            return
        process = self._processes.get(id(route)) or self._process(route)
        process(message)

    def _process(self, route: Route) -> Process:
        """What handles the messages of *route*: its callback and every stage, put together once."""
        job = self._job(route)
        attempt = self._middleware.around_attempt(self._called(job))
        for stage in reversed(self._stages):
            attempt = stage.around_attempt(job, attempt)
        settle, failed = self._settle, self._failed

        def attempt_and_settle(message: Message) -> None:
            try:
                verdict = attempt(message)
            except (gevent.GreenletExit, KeyboardInterrupt):
                raise  # the slot was killed, as the worker stops: the message goes back to its queue
            except BaseException as error:  # noqa: BLE001  SystemExit and gevent.Timeout are failures of a callback, too
                verdict = failed(job, message, error)
            settle(message, verdict)

        process: Process = attempt_and_settle
        for stage in reversed(self._stages):
            process = stage.around_process(job, process)
        self._processes[id(route)] = process
        return process

    def _failed(self, job: Job, message: Message, error: BaseException) -> Verdict:
        attempt = attempt_of(message.headers, self.queue)
        if not isinstance(error, DecodeError):  # then no code of the application has failed: no traceback
            log.warning("%s: %s failed at attempt %d", self.queue, message, attempt, exc_info=error)
        verdict = decide(error, attempt, job.policy)
        self._middleware.failed(message, error, verdict)
        return verdict

    def _called(self, job: Job) -> Attempt:
        """The innermost step: decode the body and call the callback, in a thread or with a time limit if so asked."""
        function, threads, limit = job.function, self._threads, job.time_limit

        def call(message: Message) -> Verdict:
            return verdict_of(function(message.payload, message))

        def call_in_thread(message: Message) -> Verdict:
            return verdict_of(threads.call(function, message.payload, message))

        def call_with_limit(message: Message) -> Verdict:
            body = message.payload
            exceeded = TimeLimitExceeded(f"{job.callback} ran longer than its time limit of {limit:g} s")
            with gevent.Timeout(limit, exceeded):
                return verdict_of(function(body, message))

        if job.offload:
            return call_in_thread
        return call if limit is None else call_with_limit

    def _job(self, route: Route) -> Job:
        spec = self._spec
        return Job(
            callback=route.name,
            function=route.function,
            policy=route.policy or spec.policy,
            time_limit=spec.time_limit if route.time_limit is None else route.time_limit,
            offload=spec.offload if route.offload is None else route.offload,
        )
