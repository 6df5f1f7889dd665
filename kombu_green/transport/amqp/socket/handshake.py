"""The AMQP handshake: which of the broker's methods is answered with which.  Bytes and values only, no socket.

::

    (protocol header) → start → start-ok → [secure → secure-ok] → tune → tune-ok, open → open-ok

Sources: specification, section 2.2.4, and RabbitMQ's capability ``authentication_failure_close``: a wrong password is
answered with a connection.close instead of a closed socket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from amqp import sasl, spec

from kombu_green.exceptions import AccessRefused, ProtocolError
from kombu_green.transport.amqp.protocol.errors import connection_error
from kombu_green.transport.amqp.protocol.frames import method_frame
from kombu_green.transport.amqp.protocol.parser import Event, Method
from kombu_green.transport.amqp.protocol.rpc import (
    CONNECTION_CLOSE,
    method_number,
    pack_arguments,
    read_arguments,
    read_close,
)
from kombu_green.transport.amqp.protocol.tables import pack_table, read_table

__all__ = ["PROTOCOL_HEADER", "Handshake", "Login", "Tuning", "mechanisms"]

PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"

#: bytes of a frame that both sides must accept (specification: frame-min-size)
SMALLEST_FRAME_MAX: Final = 4096

_START: Final = method_number(spec.Connection.Start)
_START_OK: Final = method_number(spec.Connection.StartOk)
_TUNE: Final = method_number(spec.Connection.Tune)
_TUNE_OK: Final = method_number(spec.Connection.TuneOk)
_OPEN: Final = method_number(spec.Connection.Open)
_OPEN_OK: Final = method_number(spec.Connection.OpenOk)

_CAPABILITIES: Final = {
    "authentication_failure_close": True,
    "basic.nack": True,
    "connection.blocked": True,
    "consumer_cancel_notify": True,
    "exchange_exchange_bindings": True,
    "publisher_confirms": True,
}


@dataclass(frozen=True, slots=True)
class Login:
    """What the client says about itself, and the virtual host that it opens."""

    virtual_host: str
    mechanisms: Sequence[Any]  # py-amqp's SASL objects, in the order of preference
    client_properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tuning:
    """The limits of a connection, which both sides propose; the smaller value holds, and 0 is no limit.

    *channel_max*: the highest channel number.  *frame_max*: bytes of a whole frame.  *heartbeat*: seconds; 0 is none.
    """

    channel_max: int = 2047
    frame_max: int = 131072
    heartbeat: int = 10

    def agreed(self, channel_max: int, frame_max: int, heartbeat: int) -> Tuning:
        """The limits that hold when the broker proposes these values."""
        smaller = [
            min(ours, theirs) or max(ours, theirs)
            for ours, theirs in (
                (self.channel_max, channel_max),
                (self.frame_max, frame_max),
                (self.heartbeat, heartbeat),
            )
        ]
        if not self.heartbeat:
            smaller[2] = 0
        return Tuning(*smaller)


class _HandshakeStep(Enum):
    """The method that must come next."""

    START = "connection.start"
    TUNE = "connection.tune"
    OPEN_OK = "connection.open-ok"
    DONE = "nothing"


_EXPECTED: Final = {_HandshakeStep.START: _START, _HandshakeStep.TUNE: _TUNE, _HandshakeStep.OPEN_OK: _OPEN_OK}


def mechanisms(login_method: str | None, user: str, password: str) -> Sequence[Any]:
    """py-amqp's SASL objects for *login_method*; when it is None, those that use a password.

    ``ValueError`` when there is no such login method.
    """
    known = {
        "PLAIN": lambda: sasl.PLAIN(user, password),
        "AMQPLAIN": lambda: sasl.AMQPLAIN(user, password),
        "EXTERNAL": sasl.EXTERNAL,
    }
    if login_method is None:
        return [known["PLAIN"](), known["AMQPLAIN"]()]
    make = known.get(login_method.upper())
    if make is None:
        raise ValueError(f"there is no login method {login_method!r} (there are: {', '.join(known)})")
    return [make()]


class Handshake:
    """A state machine: takes events, returns the bytes that answer them; :attr:`done` when the connection is open."""

    def __init__(self, login: Login, tuning: Tuning) -> None:
        self._login: Final = login
        self._step = _HandshakeStep.START
        self.tuning = tuning
        self.server_properties: dict[str, Any] = {}

    @property
    def done(self) -> bool:
        return self._step is _HandshakeStep.DONE

    @property
    def waiting_for(self) -> str:
        """The name of the method that must come next, for error messages."""
        return self._step.value

    def received(self, event: Event) -> bytes:
        """The frames that answer *event*; a refusal of the broker is raised."""
        if not isinstance(event, Method) or event.channel:
            raise ProtocolError(f"something else than {self.waiting_for} came")
        if event.method == CONNECTION_CLOSE:
            code, text = read_close(event.arguments)
            raise connection_error(code, text, opening=True)
        if event.method != _EXPECTED.get(self._step):
            raise ProtocolError(f"something else than {self.waiting_for} came: {event.method:#x}")
        if self._step is _HandshakeStep.START:
            return self._started(event.arguments)
        if self._step is _HandshakeStep.TUNE:
            return self._tuned(event.arguments)
        self._step = _HandshakeStep.DONE
        return b""

    def _started(self, raw: bytes) -> bytes:
        self.server_properties, at = read_table(raw, 2)
        offered, _ = read_arguments("SS", raw[at:])
        mechanism = self._mechanism(offered.split())
        self._step = _HandshakeStep.TUNE
        properties = {**self._login.client_properties, "capabilities": _CAPABILITIES}
        packed = pack_table(properties, "client properties")
        packed += pack_arguments("sSs", mechanism.mechanism, mechanism.start(None), "en_US")
        return method_frame(0, _START_OK, packed)

    def _mechanism(self, offered: Sequence[str]) -> Any:
        for mechanism in self._login.mechanisms:
            if mechanism.mechanism.decode() in offered:
                return mechanism
        ours = ", ".join(mechanism.mechanism.decode() for mechanism in self._login.mechanisms)
        raise AccessRefused(f"the broker takes logins by {', '.join(offered)}, and not by {ours}")

    def _tuned(self, raw: bytes) -> bytes:
        channel_max, frame_max, heartbeat = read_arguments("BlB", raw)
        if 0 < frame_max < SMALLEST_FRAME_MAX:
            raise ProtocolError(f"the broker wants frames of {frame_max} bytes, and {SMALLEST_FRAME_MAX} is the least")
        self.tuning = self.tuning.agreed(channel_max, frame_max, heartbeat)
        self._step = _HandshakeStep.OPEN_OK
        tuning = self.tuning
        tune_ok = pack_arguments("BlB", tuning.channel_max, tuning.frame_max, tuning.heartbeat)
        opening = pack_arguments("ssb", self._login.virtual_host, "", False)
        return method_frame(0, _TUNE_OK, tune_ok) + method_frame(0, _OPEN, opening)
