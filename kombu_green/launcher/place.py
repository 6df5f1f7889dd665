"""One of the N places of a launcher: the process that has it, the one that shall have it, and those that had it."""

from __future__ import annotations

import logging
import selectors
import time
from collections.abc import Iterator
from typing import Final

from kombu_green.launcher.plan import Plan
from kombu_green.launcher.tenant import Tenant
from kombu_green.retry import Backoff

__all__ = ["Place"]

log = logging.getLogger("kombu_green.launcher")


class Place:
    """Starts its tenant, and another one when that has ended and the launcher says so.

    A *successor* is started beside the tenant and takes its place when a renewal says so; *leaving* are those that were
    told to end.
    """

    def __init__(self, number: int, backoff: Backoff, *, vacant: bool = False) -> None:
        self.number: Final = number
        self.tenant: Tenant | None = None
        self.successor: Tenant | None = None
        self.leaving: Final[list[Tenant]] = []
        self.start_at: float | None = None if vacant else time.monotonic()
        self.unfit = False  # the last one could not boot
        self.ever_ready = False
        self.retired = False  # nobody follows any more
        self._backoff: Final = backoff
        self.restarts = 0
        self.last_end: str | None = None  # in words, of the one that had to be replaced
        self._failures = 0  # in a row, without one that was ready

    def tenants(self) -> Iterator[Tenant]:
        """All that are there."""
        yield from (one for one in (self.tenant, self.successor) if one is not None)
        yield from self.leaving

    def part_of(self, tenant: Tenant) -> str:
        """What *tenant* is here, in a word."""
        return "successor" if tenant is self.successor else "current" if tenant is self.tenant else "leaving"

    def dues(self) -> Iterator[float]:
        """When something has to be done here, if nothing is heard meanwhile."""
        if self.tenant is None and self.start_at is not None:
            yield self.start_at
        yield from (due for tenant in self.tenants() if (due := tenant.due()) is not None)

    def start(self, plan: Plan, lifeline: int, selector: selectors.BaseSelector) -> None:
        """Start the next tenant, if it is time."""
        if self.tenant is not None or self.start_at is None or time.monotonic() < self.start_at:
            return
        try:
            self.tenant = Tenant.start(self.number, plan, lifeline, selector)
        except OSError as error:
            self.again(f"process {self.number} could not be started ({error})")
            return
        self.start_at = None

    def look(self) -> None:
        """A tenant that serves makes good for those that failed before it."""
        if self.tenant is not None and self.tenant.served:
            self._failures, self.unfit, self.ever_ready = 0, False, True

    def again(self, reason: str, *, last_resort: bool = False, overdrawn: int | None = None) -> None:
        """Start another one after a wait that grows with each failure.

        *last_resort*: after the longest wait.  *overdrawn*: messages are to blame, and the wait grows with the number
        of deaths by which the credit of their queue is overdrawn; without a wait when it is not.
        """
        self._failures += overdrawn is None
        self.restarts, self.last_end = self.restarts + 1, reason
        failures = 1000 if last_resort else self._failures if overdrawn is None else overdrawn
        wait = self._backoff.delay(failures) if failures else 0.0
        self.start_at = time.monotonic() + wait
        said = {"event": "restarting", "place": self.number, "reason": reason, "seconds": round(wait, 3)}
        log.warning("%s: restarting in %.1f s", reason, wait, extra=said)

    def succeed(self) -> None:
        """The successor has the place now, and the tenant drains."""
        assert self.successor is not None
        before, self.tenant, self.successor = self.tenant, self.successor, None
        self.start_at = None
        self.look()
        if before is not None:
            before.drain()
            self.leaving.append(before)

    def give_up_successor(self) -> None:
        """End the successor: the tenant stays."""
        if self.successor is not None:
            self.successor.release()
            self.leaving.append(self.successor)
            self.successor = None

    def retire(self) -> None:
        """Let all finish, and start no other."""
        self.retired = True
        self._let_go()
        for tenant in self.leaving:
            tenant.drain()

    def release(self) -> None:
        """End all of them now, and start no other."""
        self.retired = True
        self._let_go()
        for tenant in self.leaving:
            tenant.release()

    def forget(self, tenant: Tenant) -> None:
        """It has ended."""
        if tenant is self.tenant:
            self.look()
            self.tenant = None
        elif tenant is self.successor:
            self.successor = None
        else:
            self.leaving.remove(tenant)

    def _let_go(self) -> None:
        self.start_at = None
        self.leaving.extend(one for one in (self.tenant, self.successor) if one is not None)
        self.tenant = self.successor = None
