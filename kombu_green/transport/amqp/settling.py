"""The part of a channel that settles what was delivered on it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from gevent.lock import BoundedSemaphore

from kombu_green.clock import Deadline
from kombu_green.exceptions import MessageStateError, OperationalError
from kombu_green.transport.amqp import calls
from kombu_green.transport.amqp.acks import Acks
from kombu_green.transport.amqp.connection import AMQPConnection
from kombu_green.transport.amqp.errors import again
from kombu_green.transport.amqp.rawchannel import Owner, RawChannel

__all__ = ["SettlingChannel"]

log = logging.getLogger(__name__)


class SettlingChannel:
    """Delivery tags are the broker's; they count up from 1 in the order of deliveries.

    A message can be settled as long as the channel that delivered it is open.  After that, and after a reconnect, it is
    the broker's again: settling it raises :exc:`MessageStateError`, and nothing is sent.
    """

    def __init__(self, connection: AMQPConnection) -> None:
        self._connection: Final = connection
        self._opening: Final = BoundedSemaphore()
        self._raw: RawChannel | None = None
        self._acks: Acks | None = None
        self._prefetch_told = 0
        self._unfenced = False
        self._ended: OperationalError | None = None

    @property
    def is_open(self) -> bool:
        return self._ended is None and self._connection.is_open

    def _check_open(self) -> None:
        if self._ended is not None:
            raise again(self._ended)
        self._connection.check()

    def _opened(self, owner: Owner, deadline: Deadline) -> RawChannel:
        """AMQP's channel; opened at the first call."""
        self._check_open()
        if self._raw is None:
            if not self._opening.acquire(timeout=deadline.remaining()):
                raise TimeoutError("opening a channel: the deadline passed")
            try:
                if self._raw is None:
                    raw = self._connection.open_channel(owner, deadline)
                    self._acks = Acks(raw.number)
                    self._raw = raw
            finally:
                self._opening.release()
        return self._raw

    # -- settling

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        if self._connection.elsewhere:
            self._from_elsewhere(self.basic_ack, delivery_tag, multiple)
            return
        acks = self._acks
        if acks is None:
            raise self._gone(delivery_tag)
        pending = acks.pending
        acks.ack(delivery_tag, multiple)
        self._settled(acks, pending)

    def basic_reject(self, delivery_tag: int, requeue: bool = False) -> None:
        if self._connection.elsewhere:
            self._from_elsewhere(self.basic_reject, delivery_tag, requeue)
            return
        acks = self._acks
        if acks is None:
            raise self._gone(delivery_tag)
        pending = acks.pending
        acks.reject(delivery_tag, requeue)
        self._settled(acks, pending)

    def _from_elsewhere(self, settle: Callable[[int, bool], None], tag: int, flag: bool) -> None:
        """An offloaded callback settles its message: it is done in the connection's own thread, a moment later."""

        def at_home() -> None:
            try:
                settle(tag, flag)
            except MessageStateError as error:
                log.warning("settled in another thread: %s", error)

        self._connection.hub.loop.run_callback_threadsafe(at_home)

    def _settled(self, acks: Acks, pending_before: int) -> None:
        self._unfenced = True
        if not pending_before:
            self._connection.collected.settled(acks)
        self._connection.wrote()

    def _gone(self, tag: object) -> MessageStateError:
        why = f": {self._ended}" if self._ended is not None else ""
        return MessageStateError(f"delivery {tag!r} is the broker's again, as its channel has ended{why}")

    def confirm_acks(self, deadline: Deadline) -> None:
        """Return when the broker has dealt with everything that was settled here."""
        if self._unfenced and self._raw is not None:
            self._unfenced = False
            self._raw.call(calls.qos(self._prefetch_told), deadline)
