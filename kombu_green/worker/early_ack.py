"""A stage for ``ack = early``: a message is acked before its callback is called.

An ack frees the message's place in the consumer's prefetch, and the broker sends the next message at once.  While every
slot is busy that message would wait here, perhaps for hours, although other processes are idle.  So the prefetch is 1,
and the consumer is stopped before the ack of a message that takes the last free slot.  It is started again when a slot
becomes free.

A message that is acked already is settled by publishing: to its queue again, or to the dead-letter queue.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, cast

import gevent
from gevent.lock import BoundedSemaphore

from kombu_green.channel import Channel
from kombu_green.clock import Deadline
from kombu_green.dispatch.middleware import Attempt
from kombu_green.dispatch.outcome import Ack, DeadLetter, Drop, Requeue, Verdict
from kombu_green.dispatch.policy import RetryPolicy
from kombu_green.exceptions import EncodeError, KombuError
from kombu_green.message import Message
from kombu_green.republish import put_back
from kombu_green.retry import Backoff
from kombu_green.worker.handler import Job, Stage
from kombu_green.worker.settler import PUBLISH_TIMEOUT, Settler, dead_letter_after
from kombu_green.worker.slots import SlotStopped

__all__ = ["AckUnanswered", "AckedChannel", "ConsumerSwitch", "EarlyAckStage", "EarlySettler"]

log = logging.getLogger(__name__)

_SETTLE_AGAIN: Final = Backoff(first=0.5, ceiling=30.0)
_UNANSWERED: Final = (
    "acked early, and not begun: the connection ended before the broker had answered that, and it comes again by itself"
    " if the ack was not heard"
)
_INTERRUPTED: Final = "its callback was interrupted when the worker stopped, and it is to be tried once only"


class AckUnanswered(Exception):
    """The connection ended after the ack was written: the broker may have it or not."""


class AckedChannel:
    """Takes the place of the channel of a message that is acked: remembers how its callback settles the message."""

    __slots__ = ("verdict",)

    def __init__(self) -> None:
        self.verdict: Verdict | None = None

    def basic_ack(self, delivery_tag: object, multiple: bool = False) -> None:
        self.verdict = Ack()

    def basic_reject(self, delivery_tag: object, requeue: bool = False) -> None:
        self.verdict = Requeue() if requeue else DeadLetter("the callback rejected it")


class ConsumerSwitch:
    """Stops a consumer with *slots* slots and a prefetch of 1 while all of them are busy."""

    def __init__(self, slots: int) -> None:
        self._slots: Final = slots
        self._one_at_a_time: Final = BoundedSemaphore()
        self._busy = 0
        self._channel: Channel | None = None
        self._consuming = True

    def open(self, channel: Channel) -> None:
        """*channel* is about to consume, unless all slots are busy; from now on it is the one that is switched."""
        with self._one_at_a_time:
            self._channel, self._consuming = channel, True
            self._switch()

    def close(self) -> None:
        """The consumer ends; nothing is switched any more."""
        self._channel = None

    def slot_taken(self) -> None:
        self._busy += 1

    def slot_freed(self) -> None:
        self._busy -= 1
        try:
            with self._one_at_a_time:
                self._switch()
        except (KombuError, TimeoutError) as error:
            log.info("consuming could not be resumed on this channel: %s", error)

    def ack(self, message: Message) -> None:
        """Ack *message*, whose slot is taken.  When this returns, the broker has the ack, and no message follows that
        would have to wait for a slot.

        Raises :exc:`AckUnanswered`; after any other error the message is not acked.
        """
        delivered_by = cast("Channel", message.channel)  # a delivery has the channel that consumes
        with self._one_at_a_time:
            self._switch()
            message.ack()
            message.settle_through(AckedChannel())
            try:
                delivered_by.confirm_acks(Deadline.never())
            except (KombuError, TimeoutError) as error:
                raise AckUnanswered(str(error)) from error

    def _switch(self) -> None:
        channel, wanted = self._channel, self._busy < self._slots
        if channel is None or wanted == self._consuming:
            return
        try:
            channel.flow(wanted)
        except (KombuError, TimeoutError):
            # it is not known whether the channel consumes now: once it is closed, the consumer opens another one
            self._channel = None
            channel.close()
            raise
        self._consuming = wanted


class EarlySettler(Settler):
    """Settles messages that are acked already by publishing them; all others as :class:`Settler` does."""

    def settle(self, message: Message, verdict: Verdict) -> Verdict | None:
        channel = message.channel
        if not isinstance(channel, AckedChannel):
            return super().settle(message, verdict)
        verdict, replaced = channel.verdict or verdict, False
        waits = _SETTLE_AGAIN.delays()
        try:
            while True:
                try:
                    return self._carry_out_acked(message, verdict)
                except (KombuError, TimeoutError) as error:
                    self._counters.unsettled += 1
                    log.warning("%s: %s was acked early, and is settled again soon: %s", self.queue, message, error)
                    gevent.sleep(next(waits))
                except Exception as error:
                    log.exception("%s: %s: %s cannot be carried out", self.queue, message, verdict)
                    if replaced:
                        log.error("%s: %s is lost: it cannot be dead-lettered, either", self.queue, message)
                        return None
                    verdict, replaced = dead_letter_after(error), True
        except SlotStopped:
            log.error("%s: %s may be lost: the worker stopped before it was settled: %s", self.queue, message, verdict)
            raise

    def settle_once(self, message: Message, verdict: Verdict) -> None:
        """For a worker that stops and has no time for a second try; *message* is acked already."""
        channel = message.channel
        chosen = channel.verdict if isinstance(channel, AckedChannel) else None
        try:
            self._carry_out_acked(message, chosen or verdict)
        except (KombuError, TimeoutError) as error:
            log.error("%s: %s is lost: the worker stops, and could not requeue it: %s", self.queue, message, error)

    def _carry_out_acked(self, message: Message, verdict: Verdict) -> Verdict:
        message.settle_through(AckedChannel())
        return self._carry_out(message, verdict)

    def _carry_out(self, message: Message, verdict: Verdict) -> Verdict:
        if not (isinstance(verdict, Requeue) and isinstance(message.channel, AckedChannel)):
            return super()._carry_out(message, verdict)
        try:
            put_back(self._publishing(), message, self.queue, deadline=Deadline.after(PUBLISH_TIMEOUT))
        except EncodeError as error:  # the producer's headers leave no room for ours
            return self._carry_out(message, DeadLetter(f"it cannot be published again: {error}"))
        return verdict


class EarlyAckStage(Stage):
    """Acks each message of one queue before the first attempt begins."""

    def __init__(self, queue: str, switch: ConsumerSwitch, settler: EarlySettler) -> None:
        self._queue: Final = queue
        self._switch: Final = switch
        self._settler: Final = settler

    def around_dispatch(self, dispatch: Callable[[Message], None]) -> Callable[[Message], None]:
        """*dispatch*, with its slot counted as taken meanwhile."""
        switch = self._switch

        def dispatch_in_slot(message: Message) -> None:
            switch.slot_taken()
            try:
                dispatch(message)
            finally:
                switch.slot_freed()

        return dispatch_in_slot

    def around_attempt(self, job: Job, attempt: Attempt) -> Attempt:
        def attempt_acked(message: Message) -> Verdict:
            try:
                refused = self._ack(message)
                return attempt(message) if refused is None else refused
            except SlotStopped:
                if isinstance(message.channel, AckedChannel):  # else closing its channel requeues it
                    self._settler.settle_once(message, _verdict_on_interrupted(job.policy))
                elif message.acknowledged:
                    log.error("%s: %s may be lost: the worker stopped while it was acked", self._queue, message)
                raise

        return attempt_acked

    def _ack(self, message: Message) -> Verdict | None:
        """Ack *message*; returns the verdict on it when that failed, and its callback must not be called."""
        delivered_by = message.channel
        assert delivered_by is not None
        try:
            self._switch.ack(message)
        except AckUnanswered as error:
            return DeadLetter(f"{_UNANSWERED}: {error}")
        except (KombuError, TimeoutError) as error:
            log.warning("%s: %s could not be acked, and is not begun: %s", self._queue, message, error)
            message.settle_through(delivered_by)
            return Requeue()
        return None


def _verdict_on_interrupted(policy: RetryPolicy) -> Verdict:
    """What becomes of a message whose callback cannot finish because the worker stops."""
    if policy.attempts > 1:
        return Requeue()
    return DeadLetter(_INTERRUPTED) if policy.dead_letter else Drop(_INTERRUPTED)
