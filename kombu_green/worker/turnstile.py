"""Where a consumer that acks early takes no more than it can begin.

An ack frees its place in the consumer's prefetch, and the broker sends the next message at once: while every slot is
busy that one would wait here, perhaps for hours, kept from processes that have nothing to do.  So one message at a time
is let in (a prefetch of 1), and the ack of one that takes the last slot is not sent before the consumer is stopped.
It is started again when a slot comes free.
"""

from __future__ import annotations

import logging
from typing import Final, cast

from gevent.lock import BoundedSemaphore

from kombu_green.channel import Channel
from kombu_green.clock import Deadline
from kombu_green.dispatch.outcome import Ack, DeadLetter, Requeue, Verdict
from kombu_green.exceptions import KombuError
from kombu_green.message import Message

__all__ = ["AckUnanswered", "AckedEarly", "Turnstile"]

log = logging.getLogger(__name__)


class AckUnanswered(Exception):
    """The connection ended after the ack was written: the broker may have it or not."""


class AckedEarly:
    """Stands for the channel of a message that is acked: what its callback asks for waits until that is over."""

    __slots__ = ("said",)

    def __init__(self) -> None:
        self.said: Verdict | None = None

    def basic_ack(self, delivery_tag: object, multiple: bool = False) -> None:
        self.said = Ack()

    def basic_reject(self, delivery_tag: object, requeue: bool = False) -> None:
        self.said = Requeue() if requeue else DeadLetter("the callback rejected it")


class Turnstile:
    """For a consumer with *slots* slots and a prefetch of 1."""

    def __init__(self, slots: int) -> None:
        self._slots: Final = slots
        self._turn: Final = BoundedSemaphore()
        self._inside = 0
        self._channel: Channel | None = None
        self._flowing = True

    def open(self, channel: Channel) -> None:
        """*channel* is about to consume, if there is a free slot; from now on it is told when there is one."""
        with self._turn:
            self._channel, self._flowing = channel, True
            self._turn_to_fit()

    def close(self) -> None:
        """Nobody consumes any more."""
        self._channel = None

    def enter(self) -> None:
        """A slot is taken."""
        self._inside += 1

    def leave(self) -> None:
        """And is free again."""
        self._inside -= 1
        try:
            with self._turn:
                self._turn_to_fit()
        except (KombuError, TimeoutError) as error:
            log.info("consuming could not be resumed on this channel: %s", error)

    def ack(self, message: Message) -> None:
        """Ack *message*, which has entered; the broker has the ack when this returns, and sends no other that would
        have to wait.

        Raises :exc:`AckUnanswered`; any other error means that it was not acked.
        """
        delivered_by = cast("Channel", message.channel)  # as it was consumed, and not settled yet
        with self._turn:
            self._turn_to_fit()
            message.ack()
            message.settle_through(AckedEarly())
            try:
                delivered_by.confirm_acks(Deadline.never())
            except (KombuError, TimeoutError) as error:
                raise AckUnanswered(str(error)) from error

    def _turn_to_fit(self) -> None:
        channel, wanted = self._channel, self._inside < self._slots
        if channel is None or wanted == self._flowing:
            return
        try:
            channel.flow(wanted)
        except (KombuError, TimeoutError):
            # nobody knows whether it consumes now; once it is closed, whoever serves it makes another one
            self._channel = None
            channel.close()
            raise
        self._flowing = wanted
