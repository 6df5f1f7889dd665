"""What a launcher's log says of the deaths of its processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from tests.processes.launching import Launched

__all__ = ["blamed", "inquests", "parked", "standing_still"]

Event = Mapping[str, Any]


def inquests(launched: Launched) -> list[Event]:
    launched.catch_up()
    return [event for event in launched.events if event.get("event") == "inquest"]


def blamed(launched: Launched) -> Iterator[Event]:
    """Every blame there was, in order: ``key id queue callback charge blames``."""
    for inquest in inquests(launched):
        yield from inquest["blamed"]


def parked(launched: Launched) -> set[str]:
    """The keys that were blamed three times."""
    return {blame["key"] for blame in blamed(launched) if blame["blames"] >= 3}


def standing_still(launched: Launched, hung: float) -> float:
    """Seconds that a place could do nothing, from the cause of a death to the next process, summed over all places.

    One that hung did so for *hung* seconds before that was noticed.
    """
    launched.catch_up()
    since: dict[int, float] = {}
    lost = 0.0
    for event in launched.events:
        place = event.get("place", 0)
        match event.get("event"):
            case "hung":
                since[place] = _at(event) - hung
            case "inquest":
                since.setdefault(place, _at(event))
            case "ready" if place in since:
                lost += _at(event) - since.pop(place)
    return lost


def _at(event: Event) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()
