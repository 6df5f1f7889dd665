"""The only code that turns a verdict into broker calls.

What is published (a retry, a dead letter, a reply) is confirmed before the original is acked: at least once, never
zero times.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import gevent

from kombu_green import serialization
from kombu_green.channel import Channel
from kombu_green.clock import Deadline
from kombu_green.dispatch.history import attempt_of, properties_for, retried
from kombu_green.dispatch.outcome import Ack, DeadLetter, Drop, Failure, Requeue, Retry, Verdict
from kombu_green.exceptions import EncodeError, KombuError, MessageStateError
from kombu_green.message import Content, Message
from kombu_green.republish import dead_letter, origin_in
from kombu_green.retry import Backoff
from kombu_green.worker.counters import Counters

__all__ = ["PUBLISH_WITHIN", "Settler"]

#: seconds for a retry or a dead letter to be confirmed; a broker that blocks publishers must not keep slots for ever
PUBLISH_WITHIN: Final = 10.0

#: before a message is given back that could not be settled; a stop waits for that, too
_AGAIN: Final = Backoff(first=0.2, ceiling=5.0)

log = logging.getLogger(__name__)


class Settler:
    """Settles the messages of one queue; *publishing* gives the channel for what has to be published."""

    def __init__(self, queue: str, publishing: Callable[[], Channel], counters: Counters) -> None:
        self.queue: Final = queue
        self._publishing: Final = publishing
        self._counters: Final = counters
        self._refusals = 0  # in a row: of what was to be published

    def settle(self, message: Message, verdict: Verdict) -> None:
        """Carry out *verdict*.  A message that the callback has settled itself is left as it is.

        When what has to be published cannot be, the message goes back to its queue, after a wait that grows each time:
        it is handed out again at once, and its callback called again.  When the broker cannot be reached for that
        either, it is handed out again as soon as the broker notices.
        """
        if message.acknowledged:
            self._counters.handled += 1
            return
        try:
            self._carry_out(message, verdict)
        except MessageStateError as error:
            # somebody else has it by now: what was done here is done twice, and must at least be seen
            self._counters.lost_leases += 1
            log.warning("%s: %s: %s", self.queue, message, error)
        except (KombuError, TimeoutError) as error:
            self._counters.unsettled += 1
            self._refusals += 1
            wait = _AGAIN.delay(self._refusals)
            log.warning(
                "%s: %s could not be settled, and is given back in %.1f s: %s", self.queue, message, wait, error
            )
            gevent.sleep(wait)
            self._give_back(message)

    def _give_back(self, message: Message) -> None:
        if message.acknowledged:  # it was the ack that failed: its connection is gone, and with it the delivery
            return
        try:
            message.requeue()
        except (KombuError, TimeoutError) as error:
            log.warning("%s: %s could not be given back: %s", self.queue, message, error)

    def _carry_out(self, message: Message, verdict: Verdict) -> None:
        match verdict:
            case Ack(reply=reply):
                if reply is not None:
                    self._reply(message, reply)
                message.ack()
                self._counters.handled += 1
            case Retry(delay=delay, failure=failure):
                self._retry(message, delay, failure)
            case Requeue():
                message.requeue()
            case DeadLetter(reason=reason, failure=failure):
                log.warning("%s: %s is dead-lettered: %s", self.queue, message, reason)
                deadline = Deadline.after(PUBLISH_WITHIN)
                dead_letter(self._publishing(), message, self.queue, reason=reason, failure=failure, deadline=deadline)
                self._refusals = 0
                message.ack()
                self._counters.dead_lettered += 1
            case Drop(reason=reason):
                log.warning("%s: %s is dropped: %s", self.queue, message, reason)
                message.ack()
                self._counters.dropped += 1

    def _retry(self, message: Message, delay: float, failure: Failure | None) -> None:
        again = self._again(message, failure)
        deadline = Deadline.after(PUBLISH_WITHIN)
        try:
            self._publishing().basic_publish(again, "", self.queue, mandatory=True, delay=delay, deadline=deadline)
            self._refusals = 0
        except EncodeError as error:
            # a foreign producer's headers may leave no room for ours: it would come back for ever, uncounted
            self._carry_out(message, DeadLetter(f"it cannot be published again: {error}", failure))
            return
        message.ack()
        self._counters.retried += 1

    def _again(self, message: Message, failure: Failure | None) -> Content:
        """The message as it is published for its next attempt."""
        headers = retried(
            message.headers,
            origin=origin_in(self.queue, message),
            attempt=attempt_of(message.headers, self.queue),
            now=time.time(),
            failure=failure,
            properties=message.properties,
        )
        properties = properties_for(message.properties, burial=False)
        return Content(message.body, message.content_type, message.content_encoding, headers, properties)

    def _reply(self, message: Message, reply: object) -> None:
        to = message.properties.get("reply_to")
        if not to:
            return
        try:
            content_type, content_encoding, body = serialization.encode(reply, "json")
        except EncodeError as error:
            # the work is done; not being able to tell is no reason to do it again
            log.error("%s: the reply to %s cannot be encoded: %s", self.queue, message, error)
            return
        correlation = message.properties.get("correlation_id")
        properties = {"delivery_mode": 2, **({"correlation_id": correlation} if correlation else {})}
        self._publishing().basic_publish(Content(body, content_type, content_encoding, {}, properties), "", str(to))
