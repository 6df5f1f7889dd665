"""A new generation beside the old one: started, waited for, and only then put in its place; all of it, or nothing."""

from __future__ import annotations

import selectors
from collections.abc import Sequence
from enum import Enum
from typing import Final

from kombu_green.ipc.phases import LEAVING
from kombu_green.launcher.place import Place
from kombu_green.launcher.plan import Plan
from kombu_green.launcher.states import State, Vitals
from kombu_green.launcher.tenant import Tenant

__all__ = ["Progress", "Renewal", "progress"]


class Progress(Enum):
    WAITING = "waiting"
    DONE = "done"  # it is ready, or stands by
    FAILED = "failed"


def progress(vitals: Vitals, start: float, now: float) -> Progress:
    """How far a successor is that may take *start* seconds from its start until it serves.

    One that leaves again has failed, and its end says why; there may be more time for that than it had to start.  One
    that was never heard hangs when that time is over: its stacks are asked for first, and another state is seen then.
    """
    if vitals.serving:
        return Progress.DONE
    if vitals.state.value in LEAVING:
        return Progress.WAITING
    if vitals.state is State.STARTING and (vitals.heard is None or now < vitals.born + start):
        return Progress.WAITING
    return Progress.FAILED


class Renewal:
    """Successors for *places* by *plan*; *why* says what began it, and *surplus* are places that go when it succeeds.

    *whole* is true for a new generation, which a place that is added meanwhile shall belong to.  :attr:`failure` is
    None until one of them has failed, and then says why in words.
    """

    def __init__(
        self, plan: Plan, places: Sequence[Place], why: str, *, surplus: Sequence[Place] = (), whole: bool = False
    ) -> None:
        self.plan: Final = plan
        self.places: Final = list(places)
        self.surplus: Final = list(surplus)
        self.why: Final = why
        self.whole: Final = whole
        self._ahead: Final = list(places)  # those whose successor is not started yet
        self.failure: str | None = None

    @property
    def void(self) -> bool:
        """Whether every place of it was taken away meanwhile."""
        return all(place.retired for place in self.places)

    def join(self, place: Place) -> None:
        """Renew *place*, too."""
        self.places.append(place)
        self._ahead.append(place)

    def start(self, lifeline: int, selector: selectors.BaseSelector) -> None:
        """Start the successors that are not started yet."""
        while self._ahead:
            place = self._ahead.pop(0)
            if place.retired:
                continue
            try:
                place.successor = Tenant.start(place.number, self.plan, lifeline, selector)
            except OSError as error:
                self.failure = f"process {place.number} could not be started ({error})"
                return

    def look(self, now: float) -> Progress:
        """How far it is; one that failed has its :attr:`failure`."""
        if self.failure is not None:
            return Progress.FAILED
        seen = Progress.DONE
        for tenant in self._successors():
            match progress(tenant.vitals, self.plan.timing.start, now):
                case Progress.FAILED:
                    self.failure = self._reason(tenant)
                    return Progress.FAILED
                case Progress.WAITING:
                    seen = Progress.WAITING
        return seen

    def due(self) -> float | None:
        """When the first one is late."""
        waited = (one.vitals.born for one in self._successors() if one.vitals.state is State.STARTING)
        return min((born + self.plan.timing.start for born in waited), default=None)

    def succeed(self) -> None:
        for place in self.places:
            if place.successor is not None:
                place.succeed()
        for place in self.surplus:
            place.retire()

    def give_up(self) -> None:
        """End what was started; the old ones go on."""
        for place in self.places:
            place.give_up_successor()
            if place.tenant is None and place.start_at is None:
                place.retired = True  # it was to be a new place

    def _successors(self) -> list[Tenant]:
        return [place.successor for place in self.places if place.successor is not None]

    def _reason(self, tenant: Tenant) -> str:
        if tenant.served:
            return f"{tenant.name} is {tenant.vitals.state}"
        return f"{tenant.name} was not ready within {self.plan.timing.start:g} s"
