"""One numbered channel of the AMQP protocol: its calls and their answers, its events, and what ended it.

A channel of this library (:class:`~kombu_green.transport.amqp.channel.amqp_channel.AMQPChannel`) uses up to two of
these, opened when they are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final, Protocol, TypeAlias

from gevent.hub import Hub, Waiter
from gevent.lock import BoundedSemaphore

from kombu_green.clock import Deadline
from kombu_green.exceptions import BrokerBlocked, ConnectionLost, EncodeError, OperationalError, ProtocolError
from kombu_green.transport.amqp.protocol import rpc
from kombu_green.transport.amqp.protocol.errors import channel_error, copy_error
from kombu_green.transport.amqp.protocol.frames import BASIC_GET_OK, method_frame
from kombu_green.transport.amqp.protocol.parser import Confirmed, Delivery, GetOk, Method, Oversized, Returned
from kombu_green.transport.amqp.protocol.rpc import RpcCall
from kombu_green.transport.amqp.socket.handshake import Tuning
from kombu_green.transport.amqp.socket.waiters import wait, wake

__all__ = ["IGNORE_EVENTS", "Answer", "CallNotSent", "ChannelListener", "WireChannel", "WireConnection"]

#: what answers a call
Answer: TypeAlias = Method | GetOk | Oversized

#: called with the answer of a call, and whether the caller still waits for it
OnAnswer: TypeAlias = Callable[[Answer, bool], None]


class CallNotSent(ConnectionLost):
    """The channel had ended before the call was written, so it can be made again on another channel."""


class WireConnection(Protocol):
    """What a channel uses of its connection, which is :class:`~.connection.AMQPConnection`."""

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

    def forget_channel(self, channel: WireChannel) -> None: ...

    def fail(self, error: OperationalError) -> None: ...


class ChannelListener(Protocol):
    """Receives the events of a channel.  Its methods are called by the reader greenlet, so they must not wait."""

    def delivered(self, event: Delivery) -> None: ...

    def confirmed(self, event: Confirmed) -> None: ...

    def returned(self, event: Returned) -> None: ...

    def oversized(self, event: Oversized) -> None:
        """A delivery or a return whose body was dropped."""
        ...

    def cancelled(self, consumer_tag: str) -> None:
        """The broker has cancelled a consumer."""
        ...

    @property
    def awaits_confirms(self) -> bool:
        """Whether a greenlet waits for a confirm; then the socket is read even while the inbox is full."""
        ...

    def check_confirms(self, elapsed: float) -> None:
        """Called now and then, *elapsed* seconds after the last time: fail publishes that wait for too long."""
        ...

    def ended(self, error: OperationalError, code: int, text: str) -> None:
        """The channel is gone.  *code* and *text* are the broker's; 0 and empty when it has not closed the channel."""
        ...


class _NoListener:
    """Ignores the events of a channel that is being closed."""

    def delivered(self, event: Delivery) -> None: ...

    def confirmed(self, event: Confirmed) -> None: ...

    def returned(self, event: Returned) -> None: ...

    def oversized(self, event: Oversized) -> None: ...

    def cancelled(self, consumer_tag: str) -> None: ...

    @property
    def awaits_confirms(self) -> bool:
        return False

    def check_confirms(self, elapsed: float) -> None: ...

    def ended(self, error: OperationalError, code: int, text: str) -> None: ...


#: the listener of a channel whose events are of no interest
IGNORE_EVENTS: Final[ChannelListener] = _NoListener()


class _UnansweredCall:
    """A call that was written and is not answered yet."""

    __slots__ = ("call", "on_answer", "since", "waiter")

    def __init__(self, call: RpcCall, waiter: Waiter[Any], on_answer: OnAnswer | None) -> None:
        self.call: Final = call
        self.on_answer: Final = on_answer
        self.since: Final = monotonic()
        self.waiter: Waiter[Any] | None = waiter  # None: the caller has given up


class WireChannel:
    """Made and opened by :meth:`AMQPConnection.open_channel`; *listener* receives its events."""

    def __init__(self, connection: WireConnection, number: int, listener: ChannelListener) -> None:
        self.number: Final = number
        self.listener = listener
        self._connection: Final = connection
        self._turn: Final = BoundedSemaphore()  # held from the writing of a call until its answer
        self._unanswered: _UnansweredCall | None = None
        self._closing = False
        self._ended: OperationalError | None = None

    @property
    def is_open(self) -> bool:
        return self._ended is None and not self._closing

    @property
    def unanswered_since(self) -> float | None:
        """When the unanswered call was written, by ``time.monotonic``; None when there is none."""
        return None if self._unanswered is None else self._unanswered.since

    @property
    def awaits_answer(self) -> bool:
        """Whether a greenlet waits for an answer or a confirm, not only for deliveries."""
        return self._unanswered is not None or self.listener.awaits_confirms

    # -- calls

    def call(self, call: RpcCall, deadline: Deadline, on_answer: OnAnswer | None = None) -> Answer:
        """Send *call* and return the broker's answer.

        There is one call at a time.  A call whose caller has given up still delays the next one until it is answered.
        *on_answer* is called by the reader with the answer, before any later event is handled.

        Raises the error with which the broker refused the call, and :exc:`CallNotSent` when the channel had ended
        before.  Raises ``TimeoutError`` at *deadline*, and after the connection's ``answer_within``, which also ends
        the connection.
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
                raise CallNotSent(str(self._ended)) from self._ended
            return self._send_and_wait(call, first, on_answer)
        except TimeoutError as error:
            if connection.blocked is not None:
                raise BrokerBlocked(f"{call.name}: the broker takes nothing: {connection.blocked}") from error
            if first is limit:
                connection.fail(ConnectionLost(f"{call.name} was not answered within {connection.answer_within:g} s"))
            raise

    def _send_and_wait(self, call: RpcCall, deadline: Deadline, on_answer: OnAnswer | None = None) -> Answer:
        connection = self._connection
        waiter: Waiter[Any] = Waiter(connection.hub)
        unanswered = self._unanswered = _UnansweredCall(call, waiter, on_answer)
        connection.write_soon(method_frame(self.number, call.method, call.arguments))
        try:
            answer = wait(waiter, deadline, call.name)
        finally:
            unanswered.waiter = None
        if isinstance(answer, OperationalError):
            raise copy_error(answer)
        assert isinstance(answer, Answer)
        return answer

    def close(self, deadline: Deadline) -> None:
        """Close it and wait for the broker's answer; does nothing when it has ended already."""
        if not self.is_open:
            return
        try:
            if not self._turn.acquire(timeout=deadline.remaining()):
                raise TimeoutError("channel.close: the deadline passed")
            if self._ended is None:
                self._closing = True
                self.listener = IGNORE_EVENTS
                self._send_and_wait(rpc.close_channel(), deadline)
            else:
                self._turn.release()
        except OperationalError:
            return  # it has ended meanwhile

    # -- called by the reader

    def received(self, event: Method) -> None:
        """Handle a method other than deliveries, returns and confirms."""
        method = event.method
        if method == rpc.CHANNEL_CLOSE:
            self._closed_by_broker(event)
        elif method == rpc.BASIC_CANCEL:
            self.listener.cancelled(rpc.read_arguments("sb", event.arguments)[0])
        elif method == rpc.CHANNEL_FLOW:
            # RabbitMQ has not sent it since 2.0: it slows publishers down by not reading the socket
            self._connection.write_soon(method_frame(self.number, rpc.CHANNEL_FLOW_OK, event.arguments))
        else:
            self._answered(event, method)

    def received_get_ok(self, event: GetOk) -> None:
        """Handle the answer to a basic.get that found a message."""
        self._answered(event, BASIC_GET_OK)

    def received_oversized(self, event: Oversized) -> None:
        """Handle a message whose body was dropped."""
        if isinstance(event.content, GetOk):
            self._answered(event, BASIC_GET_OK)
        else:
            self.listener.oversized(event)

    def _answered(self, event: Answer, method: int) -> None:
        unanswered = self._unanswered
        expected = None if unanswered is None else unanswered.call.reply
        if method != expected and not (method == rpc.BASIC_GET_EMPTY and expected == BASIC_GET_OK):
            name = "nothing" if unanswered is None else unanswered.call.name
            raise ProtocolError(f"method {method:#x} came on channel {self.number}, where {name} was asked")
        if isinstance(event, Method) and unanswered is not None and method == expected:
            unanswered.call.check_reply(event.arguments)
        if method == rpc.CHANNEL_CLOSE_OK:
            self.end(ConnectionLost("the channel was closed"))
        else:
            self._finish_call(event)

    def _finish_call(self, answer: Answer | OperationalError) -> None:
        unanswered, self._unanswered = self._unanswered, None
        if unanswered is None:
            return
        try:
            if unanswered.on_answer is not None and not isinstance(answer, OperationalError):
                unanswered.on_answer(answer, unanswered.waiter is not None)
        except BaseException as error:
            answer = ConnectionLost(f"the answer to {unanswered.call.name} could not be handled: {error}")
            raise
        finally:
            if unanswered.waiter is not None:
                wake(self._connection.hub, unanswered.waiter, answer)
            self._turn.release()

    def _closed_by_broker(self, event: Method) -> None:
        code, text = rpc.read_close(event.arguments)
        self._connection.write_soon(method_frame(self.number, rpc.CHANNEL_CLOSE_OK, b""))
        self.end(channel_error(code, text), code, text)

    def end(self, error: OperationalError, code: int = 0, text: str = "") -> None:
        """It has ended with *error*, which an unanswered call raises.  The second time does nothing."""
        if self._ended is None:
            self._ended = error
            self._connection.forget_channel(self)
            self._finish_call(error)
            listener, self.listener = self.listener, IGNORE_EVENTS
            listener.ended(error, code, text)
