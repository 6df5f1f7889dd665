"""Messages that are acked before they are begun (``ack = early``): at most once when their process dies.

No lease and no ``consumer_timeout`` bounds what takes long then.  While the process lives nothing is lost: what is to
come again is published to the queue, and since no broker would hand out anew what could not be published, it is tried
until it is.  A message is begun only when the broker has its ack.
"""

from __future__ import annotations

import logging
from typing import Final

import gevent

from kombu_green.clock import Deadline
from kombu_green.dispatch.history import properties_for, requeued
from kombu_green.dispatch.outcome import DeadLetter, Drop, Requeue, Verdict
from kombu_green.dispatch.policy import RetryPolicy
from kombu_green.dispatch.registry import Registry
from kombu_green.exceptions import EncodeError, KombuError
from kombu_green.green.threads import Threads
from kombu_green.message import Content, Message
from kombu_green.republish import origin_in
from kombu_green.retry import Backoff
from kombu_green.worker.gate import Gate
from kombu_green.worker.handling import Handler, Job
from kombu_green.worker.recording import FlightRecorder
from kombu_green.worker.settling import PUBLISH_WITHIN, Settler
from kombu_green.worker.spec import ConsumerSpec
from kombu_green.worker.turnstile import AckedEarly, AckUnanswered, Turnstile

__all__ = ["EarlyHandler", "EarlySettler"]

log = logging.getLogger(__name__)

_AGAIN: Final = Backoff(first=0.5, ceiling=30.0)
_UNANSWERED: Final = (
    "acked early, and not begun: the connection ended before the broker had answered that, and it comes again by itself"
    " if the ack was not heard"
)
_CUT_SHORT: Final = "its callback was cut short when the worker stopped, and it is to be tried once only"


class EarlySettler(Settler):
    """Settles what was acked already, by publishing; anything else as every settler."""

    def settle(self, message: Message, verdict: Verdict) -> None:
        channel = message.channel
        if not isinstance(channel, AckedEarly):
            super().settle(message, verdict)
            return
        verdict = channel.said or verdict
        waits = _AGAIN.delays()
        try:
            while (error := self._tried(message, verdict)) is not None:
                self._counters.unsettled += 1
                log.warning("%s: %s was acked early, and is settled again soon: %s", self.queue, message, error)
                gevent.sleep(next(waits))
        except gevent.GreenletExit:
            log.error("%s: %s may be lost: the worker stopped before it was settled: %s", self.queue, message, verdict)
            raise

    def settle_at_once(self, message: Message, verdict: Verdict) -> None:
        """For a worker that stops: there is no time for a second try.  *message* was acked early."""
        said = message.channel.said if isinstance(message.channel, AckedEarly) else None
        error = self._tried(message, said or verdict)
        if error is not None:
            log.error("%s: %s is lost: the worker stops, and could not give it back: %s", self.queue, message, error)

    def _tried(self, message: Message, verdict: Verdict) -> Exception | None:
        message.settle_through(AckedEarly())
        try:
            self._carry_out(message, verdict)
        except (KombuError, TimeoutError) as error:
            return error
        return None

    def _carry_out(self, message: Message, verdict: Verdict) -> None:
        if isinstance(verdict, Requeue) and isinstance(message.channel, AckedEarly):
            self._publish_back(message)
        else:
            super()._carry_out(message, verdict)

    def _publish_back(self, message: Message) -> None:
        headers = requeued(message.headers, origin=origin_in(self.queue, message), properties=message.properties)
        properties = properties_for(message.properties, burial=False)
        again = Content(message.body, message.content_type, message.content_encoding, headers, properties)
        deadline = Deadline.after(PUBLISH_WITHIN)
        try:
            self._publishing().basic_publish(again, "", self.queue, mandatory=True, deadline=deadline)
        except EncodeError as error:  # a foreign producer's headers may leave no room for ours
            self._carry_out(message, DeadLetter(f"it cannot be published again: {error}"))


class EarlyHandler(Handler):
    """Acks each message before its callback is called; *turnstile* sees to it that none waits here."""

    def __init__(
        self,
        turnstile: Turnstile,
        spec: ConsumerSpec,
        registry: Registry,
        settler: EarlySettler,
        threads: Threads,
        *,
        flight: FlightRecorder | None = None,
        gate: Gate | None = None,
    ) -> None:
        super().__init__(spec, registry, settler, threads, flight=flight, gate=gate)
        self._turnstile: Final = turnstile
        self._early_settler: Final = settler

    def handle(self, message: Message) -> None:
        self._turnstile.enter()
        try:
            super().handle(message)
        finally:
            self._turnstile.leave()

    def _verdict(self, job: Job, message: Message) -> Verdict:
        try:
            unacked = self._unacked(message)
            return super()._verdict(job, message) if unacked is None else unacked
        except gevent.GreenletExit:
            if isinstance(message.channel, AckedEarly):  # else closing its channel gives it back
                self._early_settler.settle_at_once(message, _cut_short(job.policy))
            elif message.acknowledged:
                log.error("%s: %s may be lost: the worker stopped while it was acked", self.queue, message)
            raise

    def _unacked(self, message: Message) -> Verdict | None:
        """Ack it; what is to be done when that was not possible, and it must not begin."""
        delivered_by = message.channel
        assert delivered_by is not None
        try:
            self._turnstile.ack(message)
        except AckUnanswered as error:
            return DeadLetter(f"{_UNANSWERED}: {error}")
        except (KombuError, TimeoutError) as error:
            log.warning("%s: %s could not be acked, and is not begun: %s", self.queue, message, error)
            message.settle_through(delivered_by)
            return Requeue()
        return None


def _cut_short(policy: RetryPolicy) -> Verdict:
    """What becomes of a message whose callback cannot finish because the worker stops."""
    if policy.attempts > 1:
        return Requeue()
    return DeadLetter(_CUT_SHORT) if policy.dead_letter else Drop(_CUT_SHORT)
