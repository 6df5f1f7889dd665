"""From a fresh socket to an open connection: which method is answered with which.  Pure.

::

    (protocol header) → start → start-ok → [secure → secure-ok] → tune → tune-ok, open → open-ok

Source: specification, section 2.2.4, and RabbitMQ's ``authentication_failure_close``, by which a wrong password is
answered with a connection.close instead of silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from amqp import sasl, spec

from kombu_green.exceptions import AccessRefused, ProtocolError
from kombu_green.transport.amqp.calls import CONNECTION_CLOSE, arguments, number, read, read_close
from kombu_green.transport.amqp.errors import connection_error
from kombu_green.transport.amqp.events import Event, Method
from kombu_green.transport.amqp.frames import method_frame
from kombu_green.transport.amqp.tables import pack_table, read_table

__all__ = ["PROTOCOL_HEADER", "Handshake", "Login", "Tuning", "mechanisms"]

PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"

#: bytes of a frame that everybody must take (specification, section 4.2.3: frame-min-size)
SMALLEST_FRAME_MAX: Final = 4096

_START: Final = number(spec.Connection.Start)
_START_OK: Final = number(spec.Connection.StartOk)
_TUNE: Final = number(spec.Connection.Tune)
_TUNE_OK: Final = number(spec.Connection.TuneOk)
_OPEN: Final = number(spec.Connection.Open)
_OPEN_OK: Final = number(spec.Connection.OpenOk)

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
    """Who we are and what we ask for."""

    virtual_host: str
    mechanisms: Sequence[Any]  # py-amqp's SASL objects, in the order of preference
    client_properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tuning:
    """The bounds of a connection; of two wishes the smaller one holds, and 0 is none.

    *heartbeat*: seconds.  *frame_max*: bytes of a whole frame.  *channel_max*: the highest channel number.
    """

    channel_max: int = 2047
    frame_max: int = 131072
    heartbeat: int = 10

    def agreed(self, channel_max: int, frame_max: int, heartbeat: int) -> Tuning:
        """What holds after the broker has said its own."""
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


class _Step(Enum):
    START = "connection.start"
    TUNE = "connection.tune"
    OPEN_OK = "connection.open-ok"
    DONE = "nothing"


_EXPECTED: Final = {_Step.START: _START, _Step.TUNE: _TUNE, _Step.OPEN_OK: _OPEN_OK}


def mechanisms(login_method: str | None, user: str, password: str) -> Sequence[Any]:
    """py-amqp's objects for *login_method*, or those that need no more than a password when it is None."""
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
    """Fed events, gives the bytes that answer them; :attr:`done` when the connection is open."""

    def __init__(self, login: Login, tuning: Tuning) -> None:
        self._login: Final = login
        self._step = _Step.START
        self.tuning = tuning
        self.server_properties: dict[str, Any] = {}

    @property
    def done(self) -> bool:
        return self._step is _Step.DONE

    @property
    def waiting_for(self) -> str:
        """The method that must come next, for messages."""
        return self._step.value

    def received(self, event: Event) -> bytes:
        """What answers *event*; the broker's refusal is raised."""
        if not isinstance(event, Method) or event.channel:
            raise ProtocolError(f"something else than {self.waiting_for} came")
        if event.method == CONNECTION_CLOSE:
            code, text = read_close(event.arguments)
            raise connection_error(code, text, opening=True)
        if event.method != _EXPECTED.get(self._step):
            raise ProtocolError(f"something else than {self.waiting_for} came: {event.method:#x}")
        if self._step is _Step.START:
            return self._started(event.arguments)
        if self._step is _Step.TUNE:
            return self._tuned(event.arguments)
        self._step = _Step.DONE
        return b""

    def _started(self, raw: bytes) -> bytes:
        self.server_properties, at = read_table(raw, 2)
        offered, _ = read("SS", raw[at:])
        mechanism = self._mechanism(offered.split())
        self._step = _Step.TUNE
        properties = {**self._login.client_properties, "capabilities": _CAPABILITIES}
        packed = pack_table(properties, "client properties")
        packed += arguments("sSs", mechanism.mechanism, mechanism.start(None), "en_US")
        return method_frame(0, _START_OK, packed)

    def _mechanism(self, offered: Sequence[str]) -> Any:
        for mechanism in self._login.mechanisms:
            if mechanism.mechanism.decode() in offered:
                return mechanism
        ours = ", ".join(mechanism.mechanism.decode() for mechanism in self._login.mechanisms)
        raise AccessRefused(f"the broker takes logins by {', '.join(offered)}, and not by {ours}")

    def _tuned(self, raw: bytes) -> bytes:
        channel_max, frame_max, heartbeat = read("BlB", raw)
        if 0 < frame_max < SMALLEST_FRAME_MAX:
            raise ProtocolError(f"the broker wants frames of {frame_max} bytes, and {SMALLEST_FRAME_MAX} is the least")
        self.tuning = self.tuning.agreed(channel_max, frame_max, heartbeat)
        self._step = _Step.OPEN_OK
        tuning = self.tuning
        tune_ok = arguments("BlB", tuning.channel_max, tuning.frame_max, tuning.heartbeat)
        opening = arguments("ssb", self._login.virtual_host, "", False)
        return method_frame(0, _TUNE_OK, tune_ok) + method_frame(0, _OPEN, opening)
