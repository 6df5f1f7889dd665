"""Declaring again what is there already: either it is the same, or the difference has a name.

AMQP 0-9-1 calls this equivalence, and a difference is a 406 (queue.declare and exchange.declare, rule "equivalent").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import PreconditionFailed

__all__ = ["check_exchange", "check_queue"]

_ABSENT = object()


def check_queue(there: QueueSpec, asked: QueueSpec) -> None:
    """Raise :exc:`~kombu_green.exceptions.PreconditionFailed` that names every argument that differs."""
    _check("queue", there, asked, ("durable", "exclusive", "auto_delete"))


def check_exchange(there: ExchangeSpec, asked: ExchangeSpec) -> None:
    """The same for an exchange."""
    _check("exchange", there, asked, ("type", "durable", "auto_delete"))


def _check(
    kind: str, there: QueueSpec | ExchangeSpec, asked: QueueSpec | ExchangeSpec, fields: tuple[str, ...]
) -> None:
    found = [(name, getattr(there, name), getattr(asked, name)) for name in fields]
    different = [(name, old, new) for name, old, new in found if old != new]
    different += _different(there.arguments, asked.arguments)
    if different:
        differences = "; ".join(f"{name}: there {_shown(old)}, asked {_shown(new)}" for name, old, new in different)
        raise PreconditionFailed(f"{kind} {asked.name!r} exists with other arguments: {differences}")


def _different(there: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted({*there, *asked}):
        old, new = there.get(name, _ABSENT), asked.get(name, _ABSENT)
        if type(old) is not type(new) or old != new:  # True is not 1 for a broker
            yield name, old, new


def _shown(value: Any) -> str:
    return "nothing" if value is _ABSENT else repr(value)
