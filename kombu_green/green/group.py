"""Groups of greenlets with an owner, so that no greenlet ends unnoticed.

When a bare greenlet ends with an exception, the program goes on without it: nothing reads a socket any more, or sends a
heartbeat.  So every greenlet of this package belongs to a :class:`Group`, and a policy says what follows its end:
:class:`Fail`, :class:`Restart` or :class:`MayEnd`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, TypeVarTuple

import gevent
from gevent import Greenlet, GreenletExit, getcurrent

from kombu_green.clock import Deadline
from kombu_green.retry import Backoff
from kombu_green.service import Service

__all__ = ["Fail", "Group", "MayEnd", "OnEnd", "Restart"]

log = logging.getLogger(__name__)
Ts = TypeVarTuple("Ts")


@dataclass(frozen=True, slots=True)
class Fail:
    """Should run until it is killed; if it raises or returns, the group calls ``failed``."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Should run until it is killed; if it raises or returns, it is run again after the backoff.

    After a run of *steady* seconds or more the backoff begins anew.
    """

    backoff: Backoff = Backoff()  # noqa: RUF009  immutable
    steady: float = 60.0


@dataclass(frozen=True, slots=True)
class MayEnd:
    """May return; only if it raises, the group calls ``failed``."""


OnEnd = Fail | Restart | MayEnd


class Group(Service):
    """The greenlets of one owner: spawned between start and stop, killed and joined by stop.

    *failed* is called with the greenlet's name and the exception, or None if it returned and should not have.  It is
    called in the greenlet that ends, which is still a member then, and may stop the group.

    A greenlet that is killed has not failed.  ``KeyboardInterrupt`` and ``SystemExit`` end the program, as everywhere.
    """

    def __init__(self, name: str, failed: Callable[[str, BaseException | None], None]) -> None:
        self.name: Final = name
        self._failed: Final = failed
        self._members: set[Greenlet[..., Any]] = set()

    @property
    def alive(self) -> int:
        """The number of greenlets that have not ended."""
        return sum(not member.ready() for member in self._members)

    def spawn(
        self, function: Callable[[*Ts], object], *args: *Ts, name: str, on_end: OnEnd = Fail()
    ) -> Greenlet[..., Any]:
        """Start a greenlet that calls *function*; its value is what that returns, or None after a failure.

        Raises ``RuntimeError`` if the group is not running: a greenlet that is spawned during a stop would outlive it.
        """
        if not self.running:
            raise RuntimeError(f"{self.name}: {name!r} cannot be spawned, as the group is not running")
        greenlet = Greenlet(self._run, function, args, name, on_end)
        greenlet.name = f"{self.name}/{name}"
        self._members.add(greenlet)
        greenlet.rawlink(self._members.discard)  # also called for a greenlet that is killed before it ran
        greenlet.start()
        return greenlet

    def on_stop(self, deadline: Deadline) -> None:
        """Kill all greenlets and wait until they have ended, or *deadline*; the log names those that have not."""
        others = [member for member in self._members if member is not getcurrent()]
        for member in others:
            member.kill(block=False)
        gevent.joinall(others, timeout=deadline.remaining())
        left = sorted(member.name for member in others if not member.ready())
        if left:
            log.error("%s: %d greenlets did not end in time: %s", self.name, len(left), ", ".join(left))

    def _run(self, function: Callable[..., object], args: tuple[Any, ...], name: str, on_end: OnEnd) -> object:
        attempt = 0
        while True:
            began = monotonic()
            error: BaseException | None = None
            try:
                result = function(*args)
                if isinstance(on_end, MayEnd) or not self.running:
                    return result
            except (GreenletExit, KeyboardInterrupt, SystemExit):
                raise
            except BaseException as caught:  # noqa: BLE001  a gevent.Timeout that nothing caught is a failure, too
                error = caught
            if not self.running:
                log.warning("%s/%s failed while it was stopped", self.name, name, exc_info=error)
                return None
            if not isinstance(on_end, Restart):
                self._report_failure(name, error)
                return None
            attempt = 1 if monotonic() - began >= on_end.steady else attempt + 1
            delay = on_end.backoff.delay(attempt)
            log.error("%s/%s %s, again in %.1f s", self.name, name, _how(error), delay, exc_info=error)
            del error  # its traceback holds this frame
            gevent.sleep(delay)

    def _report_failure(self, name: str, error: BaseException | None) -> None:
        log.error("%s/%s %s", self.name, name, _how(error), exc_info=error)
        try:
            self._failed(name, error)
        except Exception:
            log.exception("%s: telling the owner that %s ended failed too", self.name, name)


def _how(error: BaseException | None) -> str:
    return "returned, which it never should" if error is None else f"failed with {type(error).__name__}: {error}"
