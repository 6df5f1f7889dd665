"""From an address to an open connection: socket, login, virtual host, all by one deadline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gevent.socket import socket as Socket  # noqa: N812  it is a class
from gevent.socket import wait_read, wait_write

from kombu_green.clock import Deadline
from kombu_green.exceptions import ConnectionLost, ProtocolError
from kombu_green.green.timeouts import raise_at
from kombu_green.transport.amqp.connection import CHUNK, AMQPConnection
from kombu_green.transport.amqp.handshake import PROTOCOL_HEADER, Handshake, Login, Tuning
from kombu_green.transport.amqp.link import open_socket
from kombu_green.transport.amqp.parser import FrameParser

__all__ = ["Address", "open_connection"]

#: bytes of the largest frame before both sides have agreed on one
FIRST_FRAME_MAX: Final = 131072


@dataclass(frozen=True, slots=True)
class Address:
    """Where, as whom, and how patiently.

    *answer_within*: seconds; ``name`` is for messages and holds no password.
    """

    name: str
    host: str
    port: int
    login: Login
    tuning: Tuning
    answer_within: float
    largest_message: int


def open_connection(address: Address, deadline: Deadline) -> AMQPConnection:
    """:exc:`AccessRefused` for credentials and virtual host, :exc:`ConnectionLost` or ``TimeoutError`` for the rest."""
    unheard_for = 2.0 * address.tuning.heartbeat or address.answer_within
    socket = open_socket(address.host, address.port, deadline, unheard_for)
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
