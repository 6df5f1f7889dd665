"""Carries out verdicts: the only code of the worker that acks, rejects and publishes.

What has to be published (a retry, a dead letter, a reply) is confirmed before the original is acked.  A crash between
the two leaves the message twice, and never loses it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import gevent

from kombu_green import serialization
from kombu_green.clock import Deadline
from kombu_green.dispatch.outcome import Ack, DeadLetter, Drop, Failure, Requeue, Retry, Verdict
from kombu_green.exceptions import EncodeError, KombuError, MessageStateError
from kombu_green.message import Content, Message
from kombu_green.republish import PublishingChannel, dead_letter, publish_retry
from kombu_green.retry import Backoff

__all__ = ["PUBLISH_TIMEOUT", "Counters", "Settler", "dead_letter_after"]

#: seconds for a retry, a dead letter or a reply to be confirmed: a broker that blocks publishers must not keep slots
#: for ever
PUBLISH_TIMEOUT: Final = 10.0

#: waits before a message is requeued that could not be settled; a stop waits for them, too
_REQUEUE_WAITS: Final = Backoff(first=0.2, ceiling=5.0)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counters:
    """How many messages a worker process has settled since its start, by outcome."""

    handled: int = 0
    retried: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    #: settled after the lease or the connection was lost: the message was delivered to another consumer, too
    lost_leases: int = 0
    #: could not be settled because the broker was not reachable
    unsettled: int = 0


def dead_letter_after(error: Exception) -> DeadLetter:
    """The verdict in place of one that cannot be carried out because of *error*."""
    return DeadLetter(f"its verdict cannot be carried out: {error}", Failure.of(error))


class Settler:
    """Settles the messages of one queue; *publishing* returns the channel for what has to be published."""

    def __init__(self, queue: str, publishing: Callable[[], PublishingChannel], counters: Counters) -> None:
        self.queue: Final = queue
        self._publishing: Final = publishing
        self._counters: Final = counters
        self._refusals = 0  # failed publishes in a row

    def settle(self, message: Message, verdict: Verdict) -> Verdict | None:
        """Carry out *verdict*; returns the verdict that was carried out, or None when the message comes back.

        A message that its callback has settled itself is left as it is.  When a retry or dead letter cannot be
        published, the message is requeued after a wait that grows each time, because the broker delivers it again at
        once.  When the broker cannot be reached for that either, it delivers the message again when it notices.
        """
        if message.settled_as is not None:
            self._counters.handled += 1
            return _BY_CALLBACK[message.settled_as]
        try:
            return self._carry_out(message, verdict)
        except MessageStateError as error:
            # the message was delivered to another consumer meanwhile: it is handled twice, which must be visible
            self._counters.lost_leases += 1
            log.warning("%s: %s: %s", self.queue, message, error)
        except (KombuError, TimeoutError) as error:
            self._counters.unsettled += 1
            self._refusals += 1
            wait = _REQUEUE_WAITS.delay(self._refusals)
            log.warning("%s: %s could not be settled, and is requeued in %.1f s: %s", self.queue, message, wait, error)
            gevent.sleep(wait)
            self._requeue(message)
        except Exception as error:
            log.exception("%s: %s: %s cannot be carried out", self.queue, message, verdict)
            return self._dead_letter_or_requeue(message, error)
        return None

    def _dead_letter_or_requeue(self, message: Message, error: Exception) -> Verdict | None:
        """For an error that no broker causes: trying the same verdict again would fail again."""
        try:
            return self._carry_out(message, dead_letter_after(error))
        except Exception:
            log.exception("%s: %s cannot be dead-lettered, either", self.queue, message)
            gevent.sleep(_REQUEUE_WAITS.delay(1))
            self._requeue(message)
        return None

    def _requeue(self, message: Message) -> None:
        if message.acknowledged:  # the ack failed: its connection is gone, and the delivery with it
            return
        try:
            message.requeue()
        except (KombuError, TimeoutError) as error:
            log.warning("%s: %s could not be requeued: %s", self.queue, message, error)

    def _carry_out(self, message: Message, verdict: Verdict) -> Verdict:
        """Returns *verdict*, or the one that was carried out in its place."""
        match verdict:
            case Ack(reply=reply):
                if reply is not None:
                    self._reply(message, reply)
                message.ack()
                self._counters.handled += 1
            case Retry():
                return self._retry(message, verdict)
            case Requeue():
                message.requeue()
            case DeadLetter(reason=reason, failure=failure):
                log.warning("%s: %s is dead-lettered: %s", self.queue, message, reason)
                deadline = Deadline.after(PUBLISH_TIMEOUT)
                dead_letter(self._publishing(), message, self.queue, reason=reason, failure=failure, deadline=deadline)
                self._refusals = 0
                message.ack()
                self._counters.dead_lettered += 1
            case Drop(reason=reason):
                log.warning("%s: %s is dropped: %s", self.queue, message, reason)
                message.ack()
                self._counters.dropped += 1
        return verdict

    def _retry(self, message: Message, verdict: Retry) -> Verdict:
        deadline = Deadline.after(PUBLISH_TIMEOUT)
        try:
            publish_retry(
                self._publishing(),
                message,
                self.queue,
                delay=verdict.delay,
                failure=verdict.failure,
                deadline=deadline,
            )
        except EncodeError as error:
            # the producer's headers leave no room for ours: requeued, it would be tried for ever, and never counted
            return self._carry_out(message, DeadLetter(f"it cannot be published again: {error}", verdict.failure))
        self._refusals = 0
        message.ack()
        self._counters.retried += 1
        return verdict

    def _reply(self, message: Message, reply: object) -> None:
        to = message.properties.get("reply_to")
        if not to:
            return
        try:
            content_type, content_encoding, body = serialization.encode(reply, "json")
        except EncodeError as error:
            # the callback has succeeded: calling it again would not make its reply encodable
            log.error("%s: the reply to %s cannot be encoded: %s", self.queue, message, error)
            return
        correlation = message.properties.get("correlation_id")
        properties = {"delivery_mode": 2, **({"correlation_id": correlation} if correlation else {})}
        content = Content(body, content_type, content_encoding, {}, properties)
        self._publishing().basic_publish(content, "", str(to), deadline=Deadline.after(PUBLISH_TIMEOUT))


#: what a callback did that settled its message itself
_BY_CALLBACK: Final[dict[str, Verdict]] = {
    "ACK": Ack(),
    "REQUEUED": Requeue(),
    "REJECTED": DeadLetter("the callback rejected it"),  # to the queue's dead-letter exchange, not to <queue>.dead
}
