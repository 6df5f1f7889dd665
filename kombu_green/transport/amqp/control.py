"""Declares, binds and deletes: over a channel of their own, since one that fails takes its channel with it."""

from __future__ import annotations

from typing import Final

from gevent.lock import BoundedSemaphore

from kombu_green.clock import Deadline
from kombu_green.transport.amqp.calls import Call
from kombu_green.transport.amqp.connection import AMQPConnection
from kombu_green.transport.amqp.events import Got, Method
from kombu_green.transport.amqp.rawchannel import NOBODY, NotSent, RawChannel

__all__ = ["Control"]


class Control:
    """One for a connection.  One call at a time; the channel is opened at the first one, and again after a failure."""

    def __init__(self, connection: AMQPConnection) -> None:
        self._connection: Final = connection
        self._turn: Final = BoundedSemaphore()
        self._raw: RawChannel | None = None

    def call(self, call: Call, deadline: Deadline) -> Method:
        """The answer, or the error that the broker refused it with."""
        deadline = deadline.soonest(Deadline.current())
        while True:
            raw = self._channel(deadline)
            try:
                answer = raw.call(call, deadline)
            except NotSent:
                # another greenlet's call has failed, and its channel with it
                self._connection.check()
                continue
            assert not isinstance(answer, Got)
            return answer

    def _channel(self, deadline: Deadline) -> RawChannel:
        if self._raw is None or not self._raw.is_open:
            if not self._turn.acquire(timeout=deadline.remaining()):
                raise TimeoutError("opening a channel: the deadline passed")
            try:
                if self._raw is None or not self._raw.is_open:
                    self._raw = self._connection.open_channel(NOBODY, deadline)
            finally:
                self._turn.release()
        return self._raw
