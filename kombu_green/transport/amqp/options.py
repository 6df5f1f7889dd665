"""The options of ``amqp://``, from the query of a URL or from ``transport_options``: names, kinds, defaults."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kombu_green.exceptions import UnsupportedOption
from kombu_green.transport.amqp.protocol.parser import LARGEST_MESSAGE
from kombu_green.transport.amqp.socket.handshake import Login, Tuning, mechanisms
from kombu_green.transport.amqp.socket.login import BrokerAddress
from kombu_green.transport.schemes import check_options
from kombu_green.url import BrokerURL

__all__ = ["AMQPSettings", "read_settings"]

DEFAULT_PORT: Final = 5672
_TUNING: Final = Tuning()


@dataclass(frozen=True, slots=True)
class AMQPSettings:
    """The options of a URL, read and checked.  *exchange_types* are those that plug-ins have added to the broker."""

    address: BrokerAddress
    confirm: bool
    exchange_types: tuple[str, ...]


def read_settings(url: BrokerURL, options: Mapping[str, Any]) -> AMQPSettings:
    """Read the URL and its options; :exc:`UnsupportedOption` names what is unknown or malformed.

    =================== ============================================================ ================
    ``confirm``         publishes wait until the broker has the message              yes
    ``confirm_publish`` kombu's name for it
    ``heartbeat``       seconds; twice as much silence ends the connection; 0: never 10
    ``answer_timeout``  seconds to answer a call, and to confirm or accept a publish 30
    ``login_method``    PLAIN, AMQPLAIN or EXTERNAL                                  what the broker has
    ``connection_name`` what the broker's own tools show                             program, pid, host
    ``exchange_types``  those that plug-ins have added to the broker, by commas      none
    ``largest_message`` bytes of a body beyond which a message is rejected, unread   512 MiB
    ``frame_max``       bytes of a frame                                             131072
    ``channel_max``     channels of a connection                                     2047
    =================== ============================================================ ================
    """
    found = check_options(url.scheme, options, _KINDS)
    user = "guest" if url.userid is None else url.userid
    password = "guest" if url.password is None else url.password
    host, port, virtual_host = url.hostname or "localhost", url.port or DEFAULT_PORT, url.virtual_host or "/"
    try:
        allowed = mechanisms(found.get("login_method"), user, password)
    except ValueError as error:
        raise UnsupportedOption(f"transport {url.scheme!r}, option 'login_method': {error}", "login_method") from None
    client = {"product": "kombu_green", "platform": f"Python {sys.version.split()[0]}"}
    client["connection_name"] = found.get("connection_name") or _program()
    address = BrokerAddress(
        f"amqp://{host}:{port}/{virtual_host.removeprefix('/')}",
        host,
        port,
        Login(virtual_host, allowed, client),
        Tuning(
            found.get("channel_max", _TUNING.channel_max),
            found.get("frame_max", _TUNING.frame_max),
            found.get("heartbeat", _TUNING.heartbeat),
        ),
        found.get("answer_timeout", 30.0),
        found.get("largest_message", LARGEST_MESSAGE),
    )
    confirm = found.get("confirm", found.get("confirm_publish", True))
    return AMQPSettings(address, confirm, found.get("exchange_types", ()))


def _program() -> str:
    return f"{os.path.basename(sys.argv[0]) or 'python'} {os.getpid()}@{socket.gethostname()}"


def _yes_or_no(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"yes": True, "true": True, "1": True, "on": True, "no": False, "false": False, "0": False, "off": False}
    try:
        return known[str(value).lower()]
    except KeyError:
        raise ValueError("write yes or no") from None


def _whole_seconds(value: Any) -> int:
    seconds = float(value)
    if seconds < 0:
        raise ValueError("seconds, and not less than 0")
    return 0 if seconds == 0 else max(1, round(seconds))  # AMQP has whole seconds, and 0 turns heartbeats off


def _seconds(value: Any) -> float:
    seconds = float(value)
    if seconds <= 0:
        raise ValueError("seconds, and more than 0")
    return seconds


def _frame_max(value: Any) -> int:
    size = int(value)
    if size < 4096:
        raise ValueError("bytes, and AMQP wants 4096 at least")
    return size


def _channel_max(value: Any) -> int:
    most = int(value)
    if not 1 <= most <= 65535:
        raise ValueError("a number from 1 to 65535")
    return most


def _names(value: Any) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else value
    return tuple(name.strip() for name in given if name.strip())


_KINDS: Final[Mapping[str, Any]] = {
    "answer_timeout": _seconds,
    "channel_max": _channel_max,
    "confirm": _yes_or_no,
    "confirm_publish": _yes_or_no,
    "connection_name": str,
    "exchange_types": _names,
    "frame_max": _frame_max,
    "heartbeat": _whole_seconds,
    "largest_message": int,
    "login_method": str,
}
