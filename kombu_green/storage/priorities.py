"""Priorities as every store of this package keeps them: 0 to 9, 9 is taken first.

Strict AMQP honours a priority only in a queue that has ``x-max-priority``; kombu's stores always did.  So it is always
honoured here, and ``x-max-priority`` lowers the ceiling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kombu_green.exceptions import PreconditionFailed

__all__ = ["HIGHEST", "ceiling", "clip"]

HIGHEST = 9


def ceiling(arguments: Mapping[str, Any]) -> int:
    """The highest priority that a queue with these arguments tells apart."""
    value = arguments.get("x-max-priority", HIGHEST)
    if type(value) is not int or not 0 <= value <= 255:
        raise PreconditionFailed(f"x-max-priority must be a whole number from 0 to 255, not {value!r}")
    return min(value, HIGHEST)


def clip(priority: int, highest: int) -> int:
    """What is beyond the ceiling counts as the ceiling, what is below 0 as 0."""
    return highest if priority > highest else max(priority, 0)
