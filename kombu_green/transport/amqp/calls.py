"""The methods off the hot path: what is asked, in bytes, and what answers it.

Method numbers and argument formats are py-amqp's (``amqp.spec``, ``amqp.serialization``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from amqp import spec
from amqp.serialization import dumps, loads

from kombu_green.exceptions import ProtocolError
from kombu_green.transport.amqp.methods import shortstr
from kombu_green.transport.amqp.tables import pack_table

__all__ = [
    "BASIC_CANCEL",
    "BASIC_CANCEL_OK",
    "BASIC_GET_EMPTY",
    "BASIC_GET_OK",
    "CHANNEL_CLOSE",
    "CHANNEL_CLOSE_OK",
    "CHANNEL_FLOW",
    "CHANNEL_FLOW_OK",
    "CONNECTION_BLOCKED",
    "CONNECTION_CLOSE",
    "CONNECTION_CLOSE_OK",
    "CONNECTION_UNBLOCKED",
    "Call",
    "arguments",
    "number",
    "read",
    "read_close",
]


def number(method: tuple[int, int]) -> int:
    """py-amqp's pair of class and method as the one number that stands in a frame."""
    return method[0] << 16 | method[1]


def arguments(form: str, *values: Any) -> bytes:
    """*values* packed as *form* says: a letter each, see ``amqp.serialization``."""
    packed: bytes = dumps(form, values)
    return packed


def read(form: str, raw: bytes) -> list[Any]:
    """The values that *form* says are in *raw*; :exc:`ProtocolError` when they are not."""
    try:
        values, at = loads(form, raw, 0)
    except Exception as error:  # whatever a malformed reply makes it raise
        raise ProtocolError(f"a method's arguments cannot be read: {type(error).__name__}: {error}") from error
    if at > len(raw):
        raise ProtocolError("a method's arguments end too early")
    return list(values)


def read_close(raw: bytes) -> tuple[int, str]:
    """The code and the text of a connection.close or channel.close.

    RabbitMQ cuts a long text off after 252 bytes, amidst a character if it has to.
    """
    if len(raw) < 3 or len(raw) != 7 + raw[2]:
        raise ProtocolError(f"a close of {len(raw)} bytes came, which cannot be read")
    return raw[0] << 8 | raw[1], raw[3:-4].decode("utf-8", "replace")


class Call(NamedTuple):
    """A method that is answered by another one."""

    name: str  # for messages
    method: int
    arguments: bytes
    reply: int


CONNECTION_CLOSE: Final = number(spec.Connection.Close)
CONNECTION_CLOSE_OK: Final = number(spec.Connection.CloseOk)
CONNECTION_BLOCKED: Final = number(spec.Connection.Blocked)
CONNECTION_UNBLOCKED: Final = number(spec.Connection.Unblocked)
CHANNEL_CLOSE: Final = number(spec.Channel.Close)
CHANNEL_CLOSE_OK: Final = number(spec.Channel.CloseOk)
CHANNEL_FLOW: Final = number(spec.Channel.Flow)
CHANNEL_FLOW_OK: Final = number(spec.Channel.FlowOk)
BASIC_CANCEL: Final = number(spec.Basic.Cancel)
BASIC_CANCEL_OK: Final = number(spec.Basic.CancelOk)
BASIC_GET_OK: Final = number(spec.Basic.GetOk)
BASIC_GET_EMPTY: Final = number(spec.Basic.GetEmpty)


def _call(name: str, method: tuple[int, int], reply: tuple[int, int], packed: bytes) -> Call:
    return Call(name, number(method), packed, number(reply))


def close_connection() -> Call:
    packed = arguments("BsBB", 200, "", 0, 0)
    return _call("connection.close", spec.Connection.Close, spec.Connection.CloseOk, packed)


def open_channel() -> Call:
    return _call("channel.open", spec.Channel.Open, spec.Channel.OpenOk, arguments("s", ""))


def close_channel() -> Call:
    packed = arguments("BsBB", 200, "", 0, 0)
    return _call("channel.close", spec.Channel.Close, spec.Channel.CloseOk, packed)


def select_confirms() -> Call:
    return _call("confirm.select", spec.Confirm.Select, spec.Confirm.SelectOk, arguments("b", False))


def declare_exchange(
    exchange: str, type: str, passive: bool, durable: bool, auto_delete: bool, table: Mapping[str, Any]
) -> Call:
    names = b"\0\0" + shortstr(exchange, "exchange") + shortstr(type, "exchange type")
    packed = names + arguments("bbbbb", passive, durable, auto_delete, False, False)
    packed += pack_table(table, f"arguments of exchange {exchange!r}")
    return _call("exchange.declare", spec.Exchange.Declare, spec.Exchange.DeclareOk, packed)


def delete_exchange(exchange: str, if_unused: bool) -> Call:
    packed = b"\0\0" + shortstr(exchange, "exchange") + arguments("bb", if_unused, False)
    return _call("exchange.delete", spec.Exchange.Delete, spec.Exchange.DeleteOk, packed)


def bind_exchange(destination: str, source: str, key: str, table: Mapping[str, Any], *, undo: bool = False) -> Call:
    packed = b"\0\0" + shortstr(destination, "exchange") + _binding(source, key, table)
    if undo:
        return _call("exchange.unbind", spec.Exchange.Unbind, spec.Exchange.UnbindOk, packed)
    return _call("exchange.bind", spec.Exchange.Bind, spec.Exchange.BindOk, packed)


def _binding(source: str, key: str, table: Mapping[str, Any], *, with_nowait: bool = True) -> bytes:
    packed = shortstr(source, "exchange") + shortstr(key, "routing key") + (b"\0" if with_nowait else b"")
    return packed + pack_table(table, f"arguments of a binding to exchange {source!r}")


def declare_queue(
    queue: str, passive: bool, durable: bool, exclusive: bool, auto_delete: bool, table: Mapping[str, Any]
) -> Call:
    packed = b"\0\0" + shortstr(queue, "queue")
    packed += arguments("bbbbb", passive, durable, exclusive, auto_delete, False)
    packed += pack_table(table, f"arguments of queue {queue!r}")
    return _call("queue.declare", spec.Queue.Declare, spec.Queue.DeclareOk, packed)


def bind_queue(queue: str, exchange: str, key: str, table: Mapping[str, Any]) -> Call:
    packed = b"\0\0" + shortstr(queue, "queue") + _binding(exchange, key, table)
    return _call("queue.bind", spec.Queue.Bind, spec.Queue.BindOk, packed)


def unbind_queue(queue: str, exchange: str, key: str, table: Mapping[str, Any]) -> Call:
    packed = b"\0\0" + shortstr(queue, "queue") + _binding(exchange, key, table, with_nowait=False)
    return _call("queue.unbind", spec.Queue.Unbind, spec.Queue.UnbindOk, packed)


def purge_queue(queue: str) -> Call:
    packed = b"\0\0" + shortstr(queue, "queue") + b"\0"
    return _call("queue.purge", spec.Queue.Purge, spec.Queue.PurgeOk, packed)


def delete_queue(queue: str, if_unused: bool, if_empty: bool) -> Call:
    packed = b"\0\0" + shortstr(queue, "queue") + arguments("bbb", if_unused, if_empty, False)
    return _call("queue.delete", spec.Queue.Delete, spec.Queue.DeleteOk, packed)


def qos(prefetch_count: int) -> Call:
    return _call("basic.qos", spec.Basic.Qos, spec.Basic.QosOk, arguments("lBb", 0, prefetch_count, False))


def consume(queue: str, tag: str, no_ack: bool, exclusive: bool, table: Mapping[str, Any]) -> Call:
    packed = b"\0\0" + shortstr(queue, "queue") + shortstr(tag, "consumer tag")
    packed += arguments("bbbb", False, no_ack, exclusive, False)
    packed += pack_table(table, f"arguments of a consumer of queue {queue!r}")
    return _call("basic.consume", spec.Basic.Consume, spec.Basic.ConsumeOk, packed)


def cancel(tag: str) -> Call:
    packed = shortstr(tag, "consumer tag") + b"\0"
    return _call("basic.cancel", spec.Basic.Cancel, spec.Basic.CancelOk, packed)


def get(queue: str, no_ack: bool) -> Call:
    packed = b"\0\0" + shortstr(queue, "queue") + arguments("b", no_ack)
    return _call("basic.get", spec.Basic.Get, spec.Basic.GetOk, packed)


def recover() -> Call:
    return _call("basic.recover", spec.Basic.Recover, spec.Basic.RecoverOk, arguments("b", True))
