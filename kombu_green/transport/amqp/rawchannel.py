"""One AMQP channel: its number, one call in flight, and what ended it."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final, Protocol, TypeAlias

from gevent.hub import Hub, Waiter
from gevent.lock import BoundedSemaphore

from kombu_green.clock import Deadline
from kombu_green.exceptions import BrokerBlocked, ConnectionLost, EncodeError, OperationalError, ProtocolError
from kombu_green.transport.amqp import calls
from kombu_green.transport.amqp.calls import Call
from kombu_green.transport.amqp.errors import again, channel_error
from kombu_green.transport.amqp.events import Confirmed, Delivery, Got, Method, Returned
from kombu_green.transport.amqp.frames import method_frame
from kombu_green.transport.amqp.handshake import Tuning
from kombu_green.transport.amqp.waiting import wait, wake

__all__ = ["NOBODY", "Carrier", "NotSent", "Owner", "RawChannel"]


OnAnswer: TypeAlias = Callable[[Method | Got, bool], None]


class NotSent(ConnectionLost):
    """The channel ended before the call was written: it can be made again on another one."""


class Carrier(Protocol):
    """A connection, as far as a channel knows it."""

    @property
    def hub(self) -> Hub: ...

    @property
    def answer_within(self) -> float: ...

    @property
    def blocked(self) -> str | None: ...

    @property
    def tuning(self) -> Tuning: ...

    def check_thread(self) -> None: ...

    def write_soon(self, frames: bytes) -> None: ...

    def forget(self, raw: RawChannel) -> None: ...

    def fail(self, error: OperationalError) -> None: ...


class Owner(Protocol):
    """Whoever uses a raw channel; told by the reader, so none of these may wait."""

    def delivered(self, event: Delivery) -> None: ...

    def confirmed(self, event: Confirmed) -> None: ...

    def returned(self, event: Returned) -> None: ...

    def cancelled(self, consumer_tag: str) -> None:
        """The broker has ended a consumer."""
        ...

    @property
    def expects(self) -> bool:
        """Whether it waits for something else than deliveries."""
        ...

    def ended(self, error: OperationalError, code: int, text: str) -> None:
        """The channel is gone; the code and text are the broker's, 0 when it did not close it."""
        ...


class Nobody:
    """Owns a channel that is being closed, or is: what still comes for it is for nobody."""

    def delivered(self, event: Delivery) -> None: ...

    def confirmed(self, event: Confirmed) -> None: ...

    def returned(self, event: Returned) -> None: ...

    def cancelled(self, consumer_tag: str) -> None: ...

    @property
    def expects(self) -> bool:
        return False

    def ended(self, error: OperationalError, code: int, text: str) -> None: ...


NOBODY: Final[Owner] = Nobody()


class _Waiting:
    """A call that was written and is not answered."""

    __slots__ = ("call", "on_answer", "since", "waiter")

    def __init__(self, call: Call, waiter: Waiter[Any], on_answer: OnAnswer | None) -> None:
        self.call: Final = call
        self.on_answer: Final = on_answer
        self.since: Final = monotonic()
        self.waiter: Waiter[Any] | None = waiter  # None: whoever called waits no more


class RawChannel:
    """Made by :meth:`AMQPConnection.open_channel`, which opens it."""

    def __init__(self, connection: Carrier, number: int, owner: Owner) -> None:
        self.number: Final = number
        self.owner = owner
        self._connection: Final = connection
        self._turn: Final = BoundedSemaphore()
        self._waiting: _Waiting | None = None
        self._closing = False
        self._ended: OperationalError | None = None

    @property
    def is_open(self) -> bool:
        return self._ended is None and not self._closing

    @property
    def unanswered_since(self) -> float | None:
        """When the call in flight was made, on ``time.monotonic``'s scale."""
        return None if self._waiting is None else self._waiting.since

    @property
    def expects(self) -> bool:
        """Whether somebody waits for something else than deliveries."""
        return self._waiting is not None or self.owner.expects

    # -- calling

    def call(self, call: Call, deadline: Deadline, on_answer: OnAnswer | None = None) -> Method | Got:
        """The broker's answer.  One call at a time; an unanswered one holds up the next even when nobody waits for it.

        *on_answer* is called by the reader with the answer, before anything that comes after it, and with whether
        somebody still waits for it.
        Raises what the broker refused the call with; :exc:`NotSent` when the channel was gone before.
        ``TimeoutError`` at *deadline*, or after the connection's own time limit for answers, which ends the connection.
        """
        connection = self._connection
        connection.check_thread()
        if len(call.arguments) > connection.tuning.frame_max - 12:
            # the broker would close the connection
            raise EncodeError(
                f"{call.name}: its arguments have {len(call.arguments)} bytes, and a frame to this broker holds"
                f" {connection.tuning.frame_max - 12}"
            )
        limit = Deadline.after(connection.answer_within)
        first = limit.soonest(deadline).soonest(Deadline.current())
        try:
            if not self._turn.acquire(timeout=first.remaining()):
                raise TimeoutError(f"{call.name}: the deadline passed while another call was not answered")
            if self._ended is not None:
                self._turn.release()
                raise NotSent(str(self._ended)) from self._ended
            return self._exchange(call, first, on_answer)
        except TimeoutError as error:
            if connection.blocked is not None:
                raise BrokerBlocked(f"{call.name}: the broker takes nothing: {connection.blocked}") from error
            if first is limit:
                connection.fail(ConnectionLost(f"{call.name} was not answered within {connection.answer_within:g} s"))
            raise

    def _exchange(self, call: Call, deadline: Deadline, on_answer: OnAnswer | None = None) -> Method | Got:
        connection = self._connection
        waiter: Waiter[Any] = Waiter(connection.hub)
        waiting = self._waiting = _Waiting(call, waiter, on_answer)
        connection.write_soon(method_frame(self.number, call.method, call.arguments))
        try:
            answer = wait(waiter, deadline, call.name)
        finally:
            waiting.waiter = None
        if isinstance(answer, OperationalError):
            raise again(answer)
        assert isinstance(answer, Method | Got)
        return answer

    def close(self, deadline: Deadline) -> None:
        """End it in good order; one that is gone already stays gone."""
        if not self.is_open:
            return
        try:
            if not self._turn.acquire(timeout=deadline.remaining()):
                raise TimeoutError("channel.close: the deadline passed")
            if self._ended is None:
                self._closing = True
                self.owner = NOBODY
                self._exchange(calls.close_channel(), deadline)
            else:
                self._turn.release()
        except OperationalError:
            return  # it is gone, which was wanted

    # -- told by the reader

    def received(self, event: Method) -> None:
        """A method that is not on the hot path."""
        method = event.method
        if method == calls.CHANNEL_CLOSE:
            self._closed_by_broker(event)
        elif method == calls.BASIC_CANCEL:
            self.owner.cancelled(calls.read("sb", event.arguments)[0])
        elif method == calls.CHANNEL_FLOW:
            # not sent by RabbitMQ since 2.0; publishers are held back by the socket
            self._connection.write_soon(method_frame(self.number, calls.CHANNEL_FLOW_OK, event.arguments))
        else:
            self._answered(event, method)

    def got(self, event: Got) -> None:
        """The answer to a basic.get."""
        self._answered(event, calls.BASIC_GET_OK)

    def _answered(self, event: Method | Got, method: int) -> None:
        waiting = self._waiting
        expected = None if waiting is None else waiting.call.reply
        if method != expected and not (method == calls.BASIC_GET_EMPTY and expected == calls.BASIC_GET_OK):
            name = "nothing" if waiting is None else waiting.call.name
            raise ProtocolError(f"method {method:#x} came on channel {self.number}, where {name} was asked")
        if method == calls.CHANNEL_CLOSE_OK:
            self.end(ConnectionLost("the channel was closed"))
        else:
            self._hand_over(event)

    def _hand_over(self, answer: Method | Got | OperationalError) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            if waiting.on_answer is not None and not isinstance(answer, OperationalError):
                waiting.on_answer(answer, waiting.waiter is not None)
            if waiting.waiter is not None:
                wake(self._connection.hub, waiting.waiter, answer)
            self._turn.release()

    def _closed_by_broker(self, event: Method) -> None:
        code, text = calls.read_close(event.arguments)
        self._connection.write_soon(method_frame(self.number, calls.CHANNEL_CLOSE_OK, b""))
        self.end(channel_error(code, text), code, text)

    def end(self, error: OperationalError, code: int = 0, text: str = "") -> None:
        """It is gone; whoever waits is told *error*."""
        if self._ended is None:
            self._ended = error
            self._connection.forget(self)
            self._hand_over(error)
            owner, self.owner = self.owner, NOBODY
            owner.ended(error, code, text)
