"""Rules for declarations that every store applies: equivalence with an earlier declaration, and priorities.

Equivalence is AMQP 0-9-1's: to declare a queue or exchange again with other arguments is reply code 406
(queue.declare and exchange.declare, rule "equivalent").

Priorities go from 0 to 9, and 9 is taken first.  Strict AMQP honours a priority only in a queue that has
``x-max-priority``, but kombu's stores always did.  So it is always honoured here, and ``x-max-priority`` lowers the
highest priority of its queue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import PreconditionFailed

__all__ = ["HIGHEST_PRIORITY", "clip_priority", "max_priority", "require_same_exchange", "require_same_queue"]

HIGHEST_PRIORITY: Final = 9

_ABSENT: Final = object()


def require_same_queue(existing: QueueSpec, asked: QueueSpec) -> None:
    """Raise :exc:`~kombu_green.exceptions.PreconditionFailed` that names every argument that differs."""
    _require_same("queue", existing, asked, ("durable", "exclusive", "auto_delete"))


def require_same_exchange(existing: ExchangeSpec, asked: ExchangeSpec) -> None:
    """Raise :exc:`~kombu_green.exceptions.PreconditionFailed` that names every argument that differs."""
    _require_same("exchange", existing, asked, ("type", "durable", "auto_delete"))


def _require_same(
    kind: str, existing: QueueSpec | ExchangeSpec, asked: QueueSpec | ExchangeSpec, fields: tuple[str, ...]
) -> None:
    found = [(name, getattr(existing, name), getattr(asked, name)) for name in fields]
    different = [(name, old, new) for name, old, new in found if old != new]
    different += _different_arguments(existing.arguments, asked.arguments)
    if different:
        differences = "; ".join(f"{name}: there {_shown(old)}, asked {_shown(new)}" for name, old, new in different)
        raise PreconditionFailed(f"{kind} {asked.name!r} exists with other arguments: {differences}")


def _different_arguments(existing: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted({*existing, *asked}):
        old, new = existing.get(name, _ABSENT), asked.get(name, _ABSENT)
        if type(old) is not type(new) or old != new:  # True is not 1 for a broker
            yield name, old, new


def _shown(value: Any) -> str:
    return "nothing" if value is _ABSENT else repr(value)


def max_priority(arguments: Mapping[str, Any]) -> int:
    """The highest priority that a queue with these arguments tells apart, 0 to 9.

    Raises :exc:`~kombu_green.exceptions.PreconditionFailed` for an ``x-max-priority`` that is no whole number from 0
    to 255.
    """
    value = arguments.get("x-max-priority", HIGHEST_PRIORITY)
    if type(value) is not int or not 0 <= value <= 255:
        raise PreconditionFailed(f"x-max-priority must be a whole number from 0 to 255, not {value!r}")
    return min(value, HIGHEST_PRIORITY)


def clip_priority(priority: int, highest: int) -> int:
    """*priority* brought into the range from 0 to *highest*."""
    return highest if priority > highest else max(priority, 0)
