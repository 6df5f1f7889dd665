"""The one error tree.  Drivers' errors are translated to it where the driver is imported.

::

    KombuError
    ├── OperationalError            the broker could not do it
    │   ├── ConnectionLost          no connection, or it broke: worth trying again
    │   │   ├── ConfirmLost         it broke before the broker said that it has the message
    │   │   └── ProtocolError       what came is not what the protocol allows
    │   ├── AccessRefused           wrong password, virtual host or rights: trying again will not help
    │   ├── BrokerBlocked           the broker asks publishers to wait, past the deadline
    │   ├── ChannelError            the broker refused one operation
    │   │   ├── NotFound            no such exchange or queue
    │   │   ├── PreconditionFailed  declared before with another argument: says which
    │   │   └── ResourceLocked      exclusive to somebody else
    │   ├── Unroutable              a mandatory message that no queue takes
    │   ├── MessageNacked           the broker did not take a message
    │   ├── PartlyPublished         some of many messages were not published: says which
    │   └── EnsureExhausted         all attempts failed; the last cause is chained
    ├── SerializationError
    │   ├── EncodeError
    │   ├── DecodeError             malformed, unknown or too large when unpacked
    │   │   └── ContentDisallowed   a content type that this consumer does not accept
    │   └── SerializerNotInstalled
    ├── LimitExceeded               a pool stayed empty until the deadline
    │   ├── ConnectionLimitExceeded
    │   └── ChannelLimitExceeded
    ├── NotBoundError               an entity was used without a channel
    ├── MessageStateError           settled twice, or the delivery is not ours any more
    ├── UnsupportedOption           this transport cannot do what was asked
    ├── PluginError                 a name that could not be imported
    └── NotPatched                  gevent's patches came too late, or not at all

A deadline that passes raises the builtin ``TimeoutError`` (``socket.timeout`` is the same class).
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping

TimeoutError = builtins.TimeoutError  # kombu's name for it; the builtin itself, so nothing is shadowed

__all__ = [
    "AccessRefused",
    "BrokerBlocked",
    "ChannelError",
    "ChannelLimitExceeded",
    "ConfirmLost",
    "ConnectionLimitExceeded",
    "ConnectionLost",
    "ContentDisallowed",
    "DecodeError",
    "EncodeError",
    "EnsureExhausted",
    "KombuError",
    "LimitExceeded",
    "MessageNacked",
    "MessageStateError",
    "NotBoundError",
    "NotFound",
    "NotPatched",
    "OperationalError",
    "PartlyPublished",
    "PluginError",
    "PreconditionFailed",
    "ProtocolError",
    "ResourceLocked",
    "SerializationError",
    "SerializerNotInstalled",
    "TimeoutError",
    "Unroutable",
    "UnsupportedOption",
]


class KombuError(Exception):
    """Every error that this package raises on purpose, but the builtin ``TimeoutError``."""


class OperationalError(KombuError):
    """The broker, or the way to it, could not do what was asked."""


class ConnectionLost(OperationalError):
    """There is no connection to the broker, or it broke; trying again is reasonable."""


class ConfirmLost(ConnectionLost):
    """The connection, or the channel, ended before the broker said that it has a message: it may have it or not."""


class ProtocolError(ConnectionLost):
    """What came over the connection is not what the protocol allows, so the connection was ended."""


class AccessRefused(OperationalError):
    """The broker knows us and says no: credentials, virtual host or rights."""


class BrokerBlocked(OperationalError):
    """The broker has asked publishers to wait and the deadline passed meanwhile."""


class ChannelError(OperationalError):
    """The broker refused one operation; the connection is still good."""


class NotFound(ChannelError):
    """There is no such exchange or queue."""


class PreconditionFailed(ChannelError):
    """An exchange or queue exists already with another value of an argument.

    The message names the entity, the argument, what was asked for and what is there.
    """


class ResourceLocked(ChannelError):
    """The queue is exclusive to somebody else."""


class Unroutable(OperationalError):
    """A mandatory message was published and no queue takes it."""

    def __init__(self, exchange: str, routing_key: str) -> None:
        super().__init__(exchange, routing_key)
        self.exchange = exchange
        self.routing_key = routing_key

    def __str__(self) -> str:
        return f"no queue takes a message published to exchange {self.exchange!r} with routing key {self.routing_key!r}"


class MessageNacked(OperationalError):
    """The broker did not take a message: its queue is full and refuses more, or it failed inside."""


class PartlyPublished(OperationalError):
    """Some of many messages were not published, or nobody knows.

    ``failures`` has the error of each by its place among them, from 0; ``taken`` says how many were taken from those
    that were given, and those that are neither failed nor left are with the broker.
    """

    def __init__(self, failures: Mapping[int, Exception], taken: int) -> None:
        super().__init__(failures, taken)
        self.failures = failures
        self.taken = taken

    def __str__(self) -> str:
        first = min(self.failures)
        error = self.failures[first]
        return (
            f"{len(self.failures)} of {self.taken} messages were not published;"
            f" the first is number {first}: {type(error).__name__}: {error}"
        )


class EnsureExhausted(OperationalError):
    """All attempts of an ``ensure`` failed; ``__cause__`` is the last error."""


class SerializationError(KombuError):
    """A body could not be turned into bytes, or back."""


class EncodeError(SerializationError):
    """The body cannot be written in this format."""


class DecodeError(SerializationError):
    """The bytes are not what their content type says, or too large when unpacked."""


class ContentDisallowed(DecodeError):
    """The content type is known but this consumer does not accept it."""


class SerializerNotInstalled(SerializationError):
    """The format's library is not installed, or nobody registered the name."""


class LimitExceeded(KombuError):
    """A bounded pool had nothing to give before the deadline."""


class ConnectionLimitExceeded(LimitExceeded):
    """All connections of the pool are in use."""


class ChannelLimitExceeded(LimitExceeded):
    """All channels of the pool are in use."""


class NotBoundError(KombuError):
    """An operation that needs a channel was called on an entity that has none."""


class MessageStateError(KombuError):
    """The message was settled already, or its delivery belongs to an earlier connection."""


class UnsupportedOption(KombuError):
    """This transport cannot do what was asked; it is said at once, never ignored.

    ``option`` names the option of a URL or of ``transport_options`` that it is about, if it is about one.
    """

    def __init__(self, message: str, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option


class PluginError(KombuError):
    """A dotted path or entry point could not be loaded; the message says which and why."""


class NotPatched(KombuError):
    """The standard library is not patched by gevent, or modules were imported before it was."""
