"""What a launcher's log says of the deaths of its processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from tests.support.launcher import Launched

__all__ = ["blamed", "deaths", "parked", "standing_still"]

Event = Mapping[str, Any]


def deaths(launched: Launched) -> list[Event]:
    launched.catch_up()
    return [event for event in launched.events if event.get("event") == "death"]


def blamed(launched: Launched) -> Iterator[Event]:
    """Every blame there was, in order: ``key id queue callback reason blames``."""
    for death in deaths(launched):
        yield from death["blamed"]


def parked(launched: Launched) -> set[str]:
    """The keys of the messages that three deaths were attributed to."""
    return {blame["key"] for blame in blamed(launched) if blame["blames"] >= 3}


def standing_still(launched: Launched, hung: float) -> float:
    """Seconds from the cause of each death to the next process that is ready in its process slot, summed up.

    A process that hung did so for *hung* seconds before the launcher noticed it.
    """
    launched.catch_up()
    since: dict[int, float] = {}
    lost = 0.0
    for event in launched.events:
        number = event.get("process_number", 0)
        match event.get("event"):
            case "hung":
                since[number] = _at(event) - hung
            case "death":
                since.setdefault(number, _at(event))
            case "ready" if number in since:
                lost += _at(event) - since.pop(number)
    return lost


def _at(event: Event) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()
