"""One message and its callback: call it, decide, settle.

Everything else that surrounds a message is a *stage* around this handler, which does not know it: middleware, the
flight recorder, the redelivery gate and early acks.  :mod:`kombu_green.worker.dispatcher` puts the stages around it,
once for each callback.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import gevent

from kombu_green.dispatch.history import attempt_of
from kombu_green.dispatch.middleware import Attempt
from kombu_green.dispatch.outcome import Verdict
from kombu_green.dispatch.policy import RetryPolicy, decide, verdict_of
from kombu_green.dispatch.registry import Callback
from kombu_green.exceptions import DecodeError
from kombu_green.green.fork import end_child, forks
from kombu_green.green.threads import Threads
from kombu_green.message import Message
from kombu_green.worker.slots import SlotStopped

__all__ = ["HandleMessage", "Handler", "Job", "OnFailed", "Settle", "Stage", "TimeLimitExceeded", "attempt_at"]

log = logging.getLogger(__name__)

#: handles one message whose callback is known, and settles it
HandleMessage = Callable[[Message], None]
#: carries out a verdict and returns the one that was carried out, or None: ``Settler.settle``
Settle = Callable[[Message, Verdict], Verdict | None]
#: is told of a message that failed, its error, and the verdict that follows
OnFailed = Callable[[Message, BaseException, Verdict], None]


class TimeLimitExceeded(Exception):
    """Raised inside a callback that ran longer than its time limit; a failure like any other."""


@dataclass(frozen=True, slots=True)
class Job:
    """A callback with its options; those that it does not have are the consumer's."""

    queue: str
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

    def around_handling(self, job: Job, handle: HandleMessage) -> HandleMessage:
        """Around the attempt and its settlement; must not raise."""
        return handle


class Handler:
    """Handles the messages of *job*: makes an *attempt*, and lets *settle* carry out the verdict."""

    def __init__(self, job: Job, attempt: Attempt, settle: Settle, on_failed: OnFailed) -> None:
        self._job: Final = job
        self._attempt: Final = attempt
        self._settle: Final = settle
        self._on_failed: Final = on_failed
        self._forks: Final = forks.count

    def handle(self, message: Message) -> None:
        """Raises nothing but what kills the greenlet."""
        killed: BaseException | None = None
        try:
            verdict = self._attempt(message)
            if forks.count != self._forks:
                end_child()  # of a fork that the callback has made: the message is the parent's
        except SlotStopped:
            raise  # the worker stops: the message goes back to its queue
        except BaseException as error:  # noqa: BLE001  SystemExit, KeyboardInterrupt and gevent.Timeout are failures, too
            if forks.count != self._forks:
                end_child(error)
            verdict = self._verdict_on(message, error)
            killed = error if isinstance(error, gevent.GreenletExit) else None
        self._settle(message, verdict)
        if killed is not None:
            raise killed  # a greenlet that is killed must end, or the one that kills it would wait for ever

    def _verdict_on(self, message: Message, error: BaseException) -> Verdict:
        job = self._job
        attempt = attempt_of(message.headers, job.queue)
        if not isinstance(error, DecodeError):  # then no code of the application has failed: no traceback
            log.warning("%s: %s failed at attempt %d", job.queue, message, attempt, exc_info=error)
        verdict = decide(error, attempt, job.policy)
        self._on_failed(message, error, verdict)
        return verdict


def attempt_at(job: Job, threads: Threads) -> Attempt:
    """The innermost step: decodes the body and calls the callback; in one of *threads*, or with a time limit."""
    function, limit = job.function, job.time_limit

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
