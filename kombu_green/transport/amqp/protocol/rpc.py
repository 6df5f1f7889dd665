"""Methods that are answered by another method (RPC): declares, binds, consumes, opens and closes.

Each function that returns an :class:`RpcCall` packs one method.  Method numbers and the packing of simple arguments
come from py-amqp (``amqp.spec``, ``amqp.serialization``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from amqp import spec
from amqp.serialization import dumps, loads

from kombu_green.exceptions import ProtocolError
from kombu_green.transport.amqp.protocol.frames import shortstr
from kombu_green.transport.amqp.protocol.tables import pack_table

__all__ = [
    "BASIC_CANCEL",
    "BASIC_CANCEL_OK",
    "BASIC_GET_EMPTY",
    "CHANNEL_CLOSE",
    "CHANNEL_CLOSE_OK",
    "CHANNEL_FLOW",
    "CHANNEL_FLOW_OK",
    "CONNECTION_BLOCKED",
    "CONNECTION_CLOSE",
    "CONNECTION_CLOSE_OK",
    "CONNECTION_UNBLOCKED",
    "RpcCall",
    "method_number",
    "pack_arguments",
    "read_arguments",
    "read_close",
]


def method_number(method: tuple[int, int]) -> int:
    """py-amqp's pair of class and method number as the one number of a frame."""
    return method[0] << 16 | method[1]


def pack_arguments(form: str, *values: Any) -> bytes:
    """*values* packed; *form* has a letter for each of them, see ``amqp.serialization.dumps``."""
    packed: bytes = dumps(form, values)
    return packed


def read_arguments(form: str, raw: bytes) -> list[Any]:
    """The values in *raw*; *form* has a letter for each of them.  :exc:`ProtocolError` when *raw* is malformed."""
    values, size = _unpack(form, raw)
    if size > len(raw):
        raise ProtocolError("a method's arguments end too early")
    return values


def _unpack(form: str, raw: bytes) -> tuple[list[Any], int]:
    """The values in *raw*, and the number of bytes that they should have."""
    try:
        values, size = loads(form, raw, 0)
    except Exception as error:  # py-amqp raises many kinds for a malformed reply
        raise ProtocolError(f"a method's arguments cannot be read: {type(error).__name__}: {error}") from error
    return list(values), size


def read_close(raw: bytes) -> tuple[int, str]:
    """Reply code and text of a connection.close or channel.close.

    RabbitMQ cuts long texts after 252 bytes, which may be within a character.
    """
    if len(raw) < 3 or len(raw) != 7 + raw[2]:
        raise ProtocolError(f"a close of {len(raw)} bytes came, which cannot be read")
    return raw[0] << 8 | raw[1], raw[3:-4].decode("utf-8", "replace")


class RpcCall(NamedTuple):
    """A method to send, and the method that answers it."""

    name: str  # as in the specification, for error messages
    method: int
    arguments: bytes  # packed
    reply: int
    reply_form: str = ""  # a letter for each argument of the answer; empty: the answer's arguments are of no interest
    reply_values: tuple[Any, ...] = ()  # what the answer has to repeat

    def check_reply(self, arguments: bytes) -> None:
        """Raise :exc:`ProtocolError` unless *arguments*, the packed ones of the answer, are what they must be."""
        if not self.reply_form:
            return
        values, size = _unpack(self.reply_form, arguments)
        if size != len(arguments):
            raise ProtocolError(f"the answer to {self.name} has {len(arguments)} bytes of arguments, and not {size}")
        if self.reply_values and tuple(values) != self.reply_values:
            raise ProtocolError(f"the answer to {self.name} of {self.reply_values!r} names {tuple(values)!r}")


CONNECTION_CLOSE: Final = method_number(spec.Connection.Close)
CONNECTION_CLOSE_OK: Final = method_number(spec.Connection.CloseOk)
CONNECTION_BLOCKED: Final = method_number(spec.Connection.Blocked)
CONNECTION_UNBLOCKED: Final = method_number(spec.Connection.Unblocked)
CHANNEL_CLOSE: Final = method_number(spec.Channel.Close)
CHANNEL_CLOSE_OK: Final = method_number(spec.Channel.CloseOk)
CHANNEL_FLOW: Final = method_number(spec.Channel.Flow)
CHANNEL_FLOW_OK: Final = method_number(spec.Channel.FlowOk)
BASIC_CANCEL: Final = method_number(spec.Basic.Cancel)
BASIC_CANCEL_OK: Final = method_number(spec.Basic.CancelOk)
BASIC_GET_EMPTY: Final = method_number(spec.Basic.GetEmpty)


def _rpc(
    name: str,
    method: tuple[int, int],
    reply: tuple[int, int],
    packed: bytes,
    reply_form: str = "",
    *reply_values: Any,
) -> RpcCall:
    return RpcCall(name, method_number(method), packed, method_number(reply), reply_form, reply_values)


def close_connection() -> RpcCall:
    packed = pack_arguments("BsBB", 200, "", 0, 0)
    return _rpc("connection.close", spec.Connection.Close, spec.Connection.CloseOk, packed)


def open_channel() -> RpcCall:
    return _rpc("channel.open", spec.Channel.Open, spec.Channel.OpenOk, pack_arguments("s", ""))


def close_channel() -> RpcCall:
    packed = pack_arguments("BsBB", 200, "", 0, 0)
    return _rpc("channel.close", spec.Channel.Close, spec.Channel.CloseOk, packed)


def select_confirms() -> RpcCall:
    return _rpc("confirm.select", spec.Confirm.Select, spec.Confirm.SelectOk, pack_arguments("b", False))


def declare_exchange(
    exchange: str, type: str, passive: bool, durable: bool, auto_delete: bool, table: Mapping[str, Any]
) -> RpcCall:
    names = b"\0\0" + shortstr(exchange, "exchange") + shortstr(type, "exchange type")
    packed = names + pack_arguments("bbbbb", passive, durable, auto_delete, False, False)
    packed += pack_table(table, f"arguments of exchange {exchange!r}")
    return _rpc("exchange.declare", spec.Exchange.Declare, spec.Exchange.DeclareOk, packed)


def delete_exchange(exchange: str, if_unused: bool) -> RpcCall:
    packed = b"\0\0" + shortstr(exchange, "exchange") + pack_arguments("bb", if_unused, False)
    return _rpc("exchange.delete", spec.Exchange.Delete, spec.Exchange.DeleteOk, packed)


def bind_exchange(destination: str, source: str, key: str, table: Mapping[str, Any], *, undo: bool = False) -> RpcCall:
    packed = b"\0\0" + shortstr(destination, "exchange") + _binding(source, key, table)
    if undo:
        return _rpc("exchange.unbind", spec.Exchange.Unbind, spec.Exchange.UnbindOk, packed)
    return _rpc("exchange.bind", spec.Exchange.Bind, spec.Exchange.BindOk, packed)


def _binding(source: str, key: str, table: Mapping[str, Any], *, with_nowait: bool = True) -> bytes:
    packed = shortstr(source, "exchange") + shortstr(key, "routing key") + (b"\0" if with_nowait else b"")
    return packed + pack_table(table, f"arguments of a binding to exchange {source!r}")


def declare_queue(
    queue: str, passive: bool, durable: bool, exclusive: bool, auto_delete: bool, table: Mapping[str, Any]
) -> RpcCall:
    packed = b"\0\0" + shortstr(queue, "queue")
    packed += pack_arguments("bbbbb", passive, durable, exclusive, auto_delete, False)
    packed += pack_table(table, f"arguments of queue {queue!r}")
    return _rpc("queue.declare", spec.Queue.Declare, spec.Queue.DeclareOk, packed, "sll")


def bind_queue(queue: str, exchange: str, key: str, table: Mapping[str, Any]) -> RpcCall:
    packed = b"\0\0" + shortstr(queue, "queue") + _binding(exchange, key, table)
    return _rpc("queue.bind", spec.Queue.Bind, spec.Queue.BindOk, packed)


def unbind_queue(queue: str, exchange: str, key: str, table: Mapping[str, Any]) -> RpcCall:
    packed = b"\0\0" + shortstr(queue, "queue") + _binding(exchange, key, table, with_nowait=False)
    return _rpc("queue.unbind", spec.Queue.Unbind, spec.Queue.UnbindOk, packed)


def purge_queue(queue: str) -> RpcCall:
    packed = b"\0\0" + shortstr(queue, "queue") + b"\0"
    return _rpc("queue.purge", spec.Queue.Purge, spec.Queue.PurgeOk, packed, "l")


def delete_queue(queue: str, if_unused: bool, if_empty: bool) -> RpcCall:
    packed = b"\0\0" + shortstr(queue, "queue") + pack_arguments("bbb", if_unused, if_empty, False)
    return _rpc("queue.delete", spec.Queue.Delete, spec.Queue.DeleteOk, packed, "l")


def qos(prefetch_count: int) -> RpcCall:
    return _rpc("basic.qos", spec.Basic.Qos, spec.Basic.QosOk, pack_arguments("lBb", 0, prefetch_count, False))


def consume(queue: str, tag: str, no_ack: bool, exclusive: bool, table: Mapping[str, Any]) -> RpcCall:
    packed = b"\0\0" + shortstr(queue, "queue") + shortstr(tag, "consumer tag")
    packed += pack_arguments("bbbb", False, no_ack, exclusive, False)
    packed += pack_table(table, f"arguments of a consumer of queue {queue!r}")
    return _rpc("basic.consume", spec.Basic.Consume, spec.Basic.ConsumeOk, packed, "s", tag)


def cancel(tag: str) -> RpcCall:
    packed = shortstr(tag, "consumer tag") + b"\0"
    return _rpc("basic.cancel", spec.Basic.Cancel, spec.Basic.CancelOk, packed, "s", tag)


def get(queue: str, no_ack: bool) -> RpcCall:
    packed = b"\0\0" + shortstr(queue, "queue") + pack_arguments("b", no_ack)
    return _rpc("basic.get", spec.Basic.Get, spec.Basic.GetOk, packed)


def recover() -> RpcCall:
    return _rpc("basic.recover", spec.Basic.Recover, spec.Basic.RecoverOk, pack_arguments("b", True))
