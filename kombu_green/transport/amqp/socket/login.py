"""Opening a connection: TCP socket, login, virtual host, all within one deadline."""

from __future__ import annotations

import socket as constants
from dataclasses import dataclass
from typing import Final

from gevent.socket import create_connection, wait_read, wait_write
from gevent.socket import socket as Socket  # noqa: N812  it is a class

from kombu_green.clock import Deadline
from kombu_green.exceptions import ConnectionLost, ProtocolError
from kombu_green.green.timeouts import raise_at
from kombu_green.transport.amqp.protocol.parser import FrameParser
from kombu_green.transport.amqp.socket.connection import CHUNK, AMQPConnection
from kombu_green.transport.amqp.socket.handshake import PROTOCOL_HEADER, Handshake, Login, Tuning

__all__ = ["BrokerAddress", "open_connection"]

#: bytes of the largest frame before both sides have agreed on one
FIRST_FRAME_MAX: Final = 131072

_USER_TIMEOUT: Final = getattr(constants, "TCP_USER_TIMEOUT", None)  # on Linux only


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Everything that is needed to open a connection."""

    name: str  # for logs and error messages; holds no password
    host: str
    port: int
    login: Login
    tuning: Tuning
    answer_within: float  # seconds that the broker may take to answer a call
    largest_message: int  # bytes of a body beyond which a message is rejected


def open_connection(address: BrokerAddress, deadline: Deadline) -> AMQPConnection:
    """Open a connection, or close the socket and raise.

    :exc:`AccessRefused` for credentials and virtual host, ``TimeoutError`` at *deadline*, :exc:`ConnectionLost` for
    everything else.
    """
    unheard_for = 2.0 * address.tuning.heartbeat or address.answer_within
    socket = _open_socket(address.host, address.port, deadline, unheard_for)
    try:
        handshake = Handshake(address.login, address.tuning)
        parser = FrameParser(FIRST_FRAME_MAX, address.largest_message)
        parser.channels = ()
        with raise_at(deadline, f"logging in to {address.name}"):
            _shake_hands(address.name, socket, parser, handshake)
    except BaseException:
        socket.close()
        raise
    parser.frame_max = handshake.tuning.frame_max
    return AMQPConnection(
        address.name, socket, parser, handshake.tuning, address.answer_within, handshake.server_properties
    )


def _open_socket(host: str, port: int, deadline: Deadline, unheard_for: float) -> Socket:
    """A connected, non-blocking socket of gevent; :exc:`ConnectionLost` or ``TimeoutError`` when there is none.

    *deadline* covers the lookup of the host name, too.  *unheard_for*: seconds after which the kernel gives up data
    that the other side has not acknowledged (TCP_USER_TIMEOUT); without it a cut cable is noticed after 15 minutes.
    """
    with raise_at(deadline, f"connecting to {host}:{port}"):
        try:
            made = create_connection((host, port))
        except OSError as error:
            raise ConnectionLost(f"{host}:{port} cannot be reached: {error}") from error
    try:
        made.setsockopt(constants.IPPROTO_TCP, constants.TCP_NODELAY, 1)
        made.setsockopt(constants.SOL_SOCKET, constants.SO_KEEPALIVE, 1)
        if _USER_TIMEOUT is not None:
            made.setsockopt(constants.IPPROTO_TCP, _USER_TIMEOUT, int(unheard_for * 1000))
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise ConnectionLost(f"{host}:{port} went away: {error}") from error
    return made


def _shake_hands(name: str, socket: Socket, parser: FrameParser, handshake: Handshake) -> None:
    first = True
    try:
        _send(socket, PROTOCOL_HEADER)
        while not handshake.done:
            data = _receive(socket)
            if not data:
                raise ConnectionLost(f"{name}: the other side closed the connection instead of {handshake.waiting_for}")
            if first and not data.startswith(b"\x01"):
                raise ProtocolError(f"{name}: the other side does not speak AMQP 0-9-1: it sent {data[:24]!r}")
            first = False
            for event in parser.feed(data):
                answer = handshake.received(event)
                if answer:
                    _send(socket, answer)
            if parser.broken is not None:
                raise parser.broken
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
        raise ConnectionLost(f"{name} broke during the login: {error}") from error


def _send(socket: Socket, data: bytes) -> None:
    while data:
        try:
            data = data[socket.send(data) :]
        except BlockingIOError:
            wait_write(socket.fileno())


def _receive(socket: Socket) -> bytes:
    while True:
        try:
            return bytes(socket.recv(CHUNK))
        except BlockingIOError:
            wait_read(socket.fileno())
