"""What the headers of a dead letter say: our history, or what a broker's dead-letter exchange wrote, as one value.

Any producer may have written those headers, so a header of the wrong type counts as absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeGuard

from kombu_green.dispatch import history

__all__ = ["DeadLetterRecord"]

_NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class DeadLetterRecord:
    """What is known of one dead letter; None is unknown."""

    queue: str | None = None  # in which it failed
    dead_lettered: datetime | None = None  # with its time zone, UTC
    reason: str | None = None
    exception: str | None = None  # the name of its class
    message: str | None = None  # what that said
    traceback: str | None = None
    attempts: int | None = None  # since it was last returned
    returned: int = 0  # how often it was returned to its queue
    earlier_attempts: int = 0
    earlier: str | None = None  # one line for each earlier time as a dead letter
    exchange: str | None = None  # that it was first published to
    key: str | None = None  # and with what key
    id: str | None = None
    type: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, headers: Mapping[str, Any], properties: Mapping[str, Any]) -> DeadLetterRecord:
        death = _death(headers)
        keys = death.get("routing-keys")
        return cls(
            queue=_text(headers, history.QUEUE) or _text(death, "queue"),
            dead_lettered=_time(headers.get(history.DEAD_LETTERED)) or _time(death.get("time")),
            reason=_text(headers, history.REASON) or _text(death, "reason"),
            exception=_text(headers, history.EXCEPTION),
            message=_text(headers, history.MESSAGE),
            traceback=_text(headers, history.TRACEBACK),
            attempts=_count(headers, history.ATTEMPTS),
            returned=_count(headers, history.RETURNED) or 0,
            earlier_attempts=_count(headers, history.EARLIER_ATTEMPTS) or 0,
            earlier=_text(headers, history.EARLIER),
            exchange=_text(headers, history.EXCHANGE) or _text(death, "exchange"),
            key=_text(headers, history.ROUTING_KEY) or (str(keys[0]) if _is_list(keys) else None),
            id=_text(properties, "message_id"),
            type=_text(properties, "type"),
            headers=headers,
        )


def _death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The broker's record of the last time that a queue gave it up."""
    deaths = headers.get("x-death")
    return deaths[0] if _is_list(deaths) and isinstance(deaths[0], Mapping) else _NOTHING


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes) and len(value) > 0


def _text(source: Mapping[str, Any], name: str) -> str | None:
    value = source.get(name)
    return value if isinstance(value, str) and value else None


def _count(source: Mapping[str, Any], name: str) -> int | None:
    value = source.get(name)
    return value if type(value) is int and value >= 0 else None


def _time(value: Any) -> datetime | None:
    """From ISO 8601 (ours), seconds since 1970 or a datetime (a broker's timestamp)."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        elif type(value) is int:
            value = datetime.fromtimestamp(value, UTC)
        if not isinstance(value, datetime):
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
