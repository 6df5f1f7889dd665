"""The places of a launcher, the plan that counts for them, and the renewal that is under way."""

from __future__ import annotations

import logging
import selectors
import time
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

from kombu_green.config.logs import configure
from kombu_green.launcher.place import Place
from kombu_green.launcher.plan import Plan
from kombu_green.launcher.recycling import Need, resident
from kombu_green.launcher.renewal import Progress, Renewal
from kombu_green.launcher.tenant import End, Tenant
from kombu_green.retry import Backoff

__all__ = ["Generations"]

log = logging.getLogger("kombu_green.launcher")

_LOOK_EVERY: Final = 1.0  # seconds, at the limits
_RECYCLE_AGAIN: Final = 30.0  # seconds after a renewal that failed


class Generations:
    """Renews all places (a reload) or one (a process that passed a limit), one renewal at a time.

    While one is under way, its plan counts for its successors only; once it has succeeded, for all that are started.
    """

    def __init__(self, plan: Plan, backoff: Backoff) -> None:
        self.plan = plan
        self.places: Final = [Place(number, backoff) for number in range(1, plan.processes + 1)]
        self._backoff: Final = backoff
        self._renewal: Renewal | None = None
        self._wanted: Renewal | None = None  # begins at the end of the turn
        self._need = Need(plan.limits.settled)
        self._look_at = time.monotonic() + _LOOK_EVERY

    def dues(self) -> Iterator[float]:
        """When something has to be done, if nothing is heard meanwhile."""
        for place in self.places:
            yield from place.dues()
        if self._renewal is not None and (due := self._renewal.due()) is not None:
            yield due

    def go_on(self, lifeline: int, selector: selectors.BaseSelector) -> None:
        """Take the renewal a step further, and begin the one that is wanted."""
        now = time.monotonic()
        if self._renewal is not None:
            self._renewal.start(lifeline, selector)
            self._go_on(self._renewal, now)
        if self._wanted is None and self._renewal is None and now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            self._recycle(now)
        if self._wanted is not None:
            self._renewal, self._wanted = self._wanted, None
            self._renewal.start(lifeline, selector)

    def tidy(self) -> None:
        """Take away places that are retired and empty."""
        self.places[:] = [place for place in self.places if not place.retired or any(place.tenants())]

    # -- renewals

    def renew_all(self, plan: Plan, why: str) -> None:
        """Begin a new generation of everything; one that is under way is given up for it."""
        self._give_up("a newer one begins")
        staying = self.staying()
        kept, surplus = staying[: plan.processes], staying[plan.processes :]
        added = [self._add(vacant=True) for _ in range(plan.processes - len(kept))]
        self._want(Renewal(plan, [*kept, *added], why, surplus=surplus, whole=True))

    def _recycle(self, now: float) -> None:
        """Begin to replace one process that passed a limit."""
        limits = self.plan.limits
        for place in self.staying():
            tenant = place.tenant
            if tenant is None or not tenant.vitals.serving:
                continue
            why = limits.worn(tenant.counters, tenant.share) or self._too_large(tenant, now)
            if why is not None:
                self._want(Renewal(self.plan, [place], f"{tenant.name} is replaced: {why}"))
                return

    def _too_large(self, tenant: Tenant, now: float) -> str | None:
        """Why it has too much memory, in words; that it may need so much is said once for each plan."""
        limits, need = self.plan.limits, self._need
        memory = resident(tenant.process.pid) if limits.memory else None
        age = now - tenant.vitals.born
        if memory is None or (why := limits.swollen(memory, age, need)) is None:
            return None
        if need.learn(memory, age):
            said = {"event": "needed", "child": tenant.process.pid, "memory": memory, "limit": limits.memory}
            log.warning("%s: %s", tenant.name, limits.too_low(memory, age, need), extra=said)
        return why

    def _want(self, renewal: Renewal) -> None:
        self._wanted = renewal
        number = len(renewal.places)
        said = {"event": "renewing", "why": renewal.why, "processes": number}
        log.info("%s: starting %d new process%s", renewal.why, number, "es" * (number > 1), extra=said)

    def _go_on(self, renewal: Renewal, now: float) -> None:
        match renewal.look(now):
            case Progress.DONE:
                self._succeed(renewal)
            case Progress.FAILED:
                self._fail(renewal)

    def _succeed(self, renewal: Renewal) -> None:
        self._renewal = None
        reload = renewal.plan is not self.plan
        self.plan = renewal.plan
        if reload:
            self._need = Need(self.plan.limits.settled)
        if reload and renewal.plan.logging is not None:
            configure(renewal.plan.logging)
        log.info("%s: all new processes serve, the old ones drain", renewal.why, extra={"event": "renewed"})
        renewal.succeed()

    def _fail(self, renewal: Renewal) -> None:
        self._renewal = None
        said = {"event": "not renewed", "reason": renewal.failure}
        log.error("%s: the old processes stay: %s", renewal.why, renewal.failure, extra=said)
        renewal.give_up()
        self._look_at = time.monotonic() + _RECYCLE_AGAIN

    def lost_successor(self, tenant: Tenant, end: End) -> None:
        """A successor has ended before its time."""
        if self._renewal is not None and self._renewal.failure is None:
            reason = str(end) if end.problems is None else "cannot boot: " + "; ".join(end.problems)
            self._renewal.failure = f"{tenant.name} {reason}"

    def _give_up(self, reason: str) -> None:
        for renewal in self._under_way():
            log.info("%s: given up: %s", renewal.why, reason, extra={"event": "given up", "reason": reason})
            renewal.give_up()
        self._renewal = self._wanted = None

    def _under_way(self) -> list[Renewal]:
        """What is begun, and what is about to be."""
        return [renewal for renewal in (self._renewal, self._wanted) if renewal is not None]

    def stop(self) -> None:
        """No other generation follows; what there is of one is a process like any other."""
        self._wanted = self._renewal = None

    # -- more and less

    def grow(self) -> None:
        """One process more.  A new generation that is under way renews it with the others, or it would stay behind."""
        place = self._add(vacant=False)
        for renewal in self._under_way():
            if renewal.whole:
                renewal.join(place)
        self._say_number("SIGTTIN")

    def shrink(self) -> None:
        """One process less; one stays."""
        staying = self.staying()
        if len(staying) == 1:
            log.warning("SIGTTOU: one process stays", extra={"event": "places", "processes": 1})
            return
        staying[-1].retire()
        if any(renewal.void for renewal in self._under_way()):
            self._give_up("SIGTTOU took away its place")
        self._say_number("SIGTTOU")

    def _say_number(self, why: str) -> None:
        number = len(self.staying())
        log.info("%s: %d processes", why, number, extra={"event": "places", "processes": number})

    def _add(self, *, vacant: bool) -> Place:
        """A place more, with the first number that nobody has."""
        taken = {place.number for place in self.places}
        number = next(number for number in count(1) if number not in taken)
        place = Place(number, self._backoff, vacant=vacant)
        self.places.append(place)
        return place

    def staying(self) -> Sequence[Place]:
        """The places that are not about to be taken away, by number."""
        return sorted((place for place in self.places if not place.retired), key=lambda place: place.number)
