"""The broker's reply codes and texts as this package's errors.  Pure.

Source: specification, section 1.2 (reply codes), and the texts of RabbitMQ 3.10's ``rabbit_misc`` and
``rabbit_channel``.
"""

from __future__ import annotations

import re
from typing import Final

from kombu_green.exceptions import (
    AccessRefused,
    ChannelError,
    ConnectionLost,
    NotFound,
    OperationalError,
    PreconditionFailed,
    ResourceLocked,
)

__all__ = [
    "ACCESS_REFUSED",
    "NOT_ALLOWED",
    "NOT_FOUND",
    "again",
    "channel_error",
    "connection_error",
    "missing_exchange",
]

INVALID_PATH: Final = 402
ACCESS_REFUSED: Final = 403
NOT_FOUND: Final = 404
RESOURCE_LOCKED: Final = 405
PRECONDITION_FAILED: Final = 406
NOT_ALLOWED: Final = 530

_BY_CODE: Final[dict[int, type[OperationalError]]] = {
    ACCESS_REFUSED: AccessRefused,
    NOT_FOUND: NotFound,
    RESOURCE_LOCKED: ResourceLocked,
    PRECONDITION_FAILED: PreconditionFailed,
}

_INEQUIVALENT: Final = re.compile(
    r"inequivalent arg '(?P<argument>[^']*)' for (?P<kind>queue|exchange) '(?P<name>.*)' in vhost '.*': "
    r"received (?P<asked>.+?) but current is (?P<there>.+)",
    re.DOTALL,
)
_VALUE: Final = re.compile(r"(?:the value )?(?P<value>'.*?'|none)(?: of type '[^']*')?", re.DOTALL)
_TOO_SLOW: Final = re.compile(r"delivery acknowledgement on channel \d+ timed out")
_NO_EXCHANGE: Final = re.compile(r"no exchange '(?P<name>.*)' in vhost '", re.DOTALL)


def channel_error(code: int, text: str) -> OperationalError:
    """What a channel.close means."""
    if code == PRECONDITION_FAILED and _TOO_SLOW.search(text):
        # nothing was asked wrongly: the channel is lost like one whose connection broke, and may be opened again
        return ConnectionLost(f"a message was held for longer than the broker's consumer_timeout allows: {text}")
    kind = _BY_CODE.get(code, ChannelError)
    if code == ACCESS_REFUSED and "exclusive use" in text:
        kind = ResourceLocked  # another consumer has it; that is nothing about rights
    return kind(_difference(text) or text or f"the broker closed the channel with code {code}")


def connection_error(code: int, text: str, *, opening: bool) -> OperationalError:
    """What a connection.close means; while *opening* it is mostly about credentials and the virtual host."""
    refused = (ACCESS_REFUSED, INVALID_PATH, NOT_ALLOWED) if opening else (ACCESS_REFUSED,)
    if code in refused:
        return AccessRefused(text)
    return ConnectionLost(f"the broker closed the connection: {code} {text}")


def missing_exchange(text: str) -> str | None:
    """The exchange that a NOT_FOUND says is not there."""
    found = _NO_EXCHANGE.search(text)
    return found["name"] if found else None


def _difference(text: str) -> str | None:
    """The argument that differs, as :mod:`kombu_green.storage.declaration_rules` puts it."""
    found = _INEQUIVALENT.search(text)
    if found is None:
        return None
    there, asked = _value(found["there"]), _value(found["asked"])
    return (
        f"{found['kind']} {found['name']!r} exists with other arguments:"
        f" {found['argument']}: there {there}, asked {asked}"
    )


def _value(text: str) -> str:
    found = _VALUE.fullmatch(text.strip())
    if found is None:
        return text.strip()
    return "nothing" if found["value"] == "none" else found["value"]


def again(error: OperationalError) -> OperationalError:
    """A copy of *error* to be raised by one of several who wait: each has a traceback of its own."""
    copy = type(error).__new__(type(error), *error.args)
    copy.args = error.args
    copy.__dict__.update(error.__dict__)
    copy.__cause__ = error
    return copy
