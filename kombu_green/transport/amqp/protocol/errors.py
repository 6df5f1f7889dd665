"""Exceptions for the reply codes and texts of a broker that closes a channel or a connection.

Sources: reply codes from the specification, section 1.2; texts from RabbitMQ 3.10's ``rabbit_misc`` and
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
    "channel_error",
    "connection_error",
    "copy_error",
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
    """The exception for a channel.close with this reply code and text."""
    if code == PRECONDITION_FAILED and _TOO_SLOW.search(text):
        # no request was wrong: the channel is lost as by a broken connection, and may be opened again
        return ConnectionLost(f"a message was held for longer than the broker's consumer_timeout allows: {text}")
    kind = _BY_CODE.get(code, ChannelError)
    if code == ACCESS_REFUSED and "exclusive use" in text:
        kind = ResourceLocked  # another consumer has the queue; it is not about permissions
    return kind(_difference(text) or text or f"the broker closed the channel with code {code}")


def connection_error(code: int, text: str, *, opening: bool) -> OperationalError:
    """The exception for a connection.close with this reply code and text.

    During *opening* the codes 402 and 530, too, are about the virtual host or permissions.
    """
    refused = (ACCESS_REFUSED, INVALID_PATH, NOT_ALLOWED) if opening else (ACCESS_REFUSED,)
    if code in refused:
        return AccessRefused(text)
    return ConnectionLost(f"the broker closed the connection: {code} {text}")


def missing_exchange(text: str) -> str | None:
    """The exchange that the text of a NOT_FOUND names; None when it is about something else."""
    found = _NO_EXCHANGE.search(text)
    return found["name"] if found else None


def _difference(text: str) -> str | None:
    """The argument that differs, in the same words as other transports use; None for any other text."""
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


def copy_error(error: OperationalError) -> OperationalError:
    """A copy of *error*, its ``__cause__``, for one of several greenlets that raise it: each gets its own traceback."""
    copy = type(error).__new__(type(error), *error.args)
    copy.args = error.args
    copy.__dict__.update(error.__dict__)
    copy.__cause__ = error
    return copy
