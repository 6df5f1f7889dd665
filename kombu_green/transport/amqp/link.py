"""A socket to a broker, as an AMQP connection wants it: gevent's own, which waits politely without any patching."""

from __future__ import annotations

import socket as constants
from typing import Final

from gevent.socket import create_connection
from gevent.socket import socket as Socket  # noqa: N812  it is a class

from kombu_green.clock import Deadline
from kombu_green.exceptions import ConnectionLost
from kombu_green.green.timeouts import raise_at

__all__ = ["open_socket"]

_USER_TIMEOUT: Final = getattr(constants, "TCP_USER_TIMEOUT", None)  # Linux alone has it


def open_socket(host: str, port: int, deadline: Deadline, unheard_for: float) -> Socket:
    """A connected socket that does not block; :exc:`ConnectionLost` or ``TimeoutError`` when there is none.

    Looking up the name counts, too.  *unheard_for*: seconds after which the kernel gives up on data that the other
    side does not confirm; without it a cable that was cut is noticed after a quarter of an hour.
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
