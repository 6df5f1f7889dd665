"""Greenlets with an owner: none is spawned bare, and none ends unnoticed.

A greenlet that dies of an exception takes its work with it and leaves a program that looks alive: a reader that reads
no more, a heartbeat that is not sent.  Here every greenlet belongs to a :class:`Group`, and what its end means is said
when it is spawned: :class:`Fail`, :class:`Restart` or :class:`MayEnd`.
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
    """It runs until it is stopped; when it ends, whether it raised or returned, the owner is told."""


@dataclass(frozen=True, slots=True)
class Restart:
    """It runs until it is stopped; when it ends, it is run again after the backoff.

    Once it has run for *steady* seconds it counts as sound, and the backoff begins anew.
    """

    backoff: Backoff = Backoff()  # noqa: RUF009  it is immutable
    steady: float = 60.0


@dataclass(frozen=True, slots=True)
class MayEnd:
    """It does something and then returns; only when it raises, the owner is told."""


OnEnd = Fail | Restart | MayEnd


class Group(Service):
    """The greenlets of one owner: spawned between start and stop, killed and joined by stop.

    *failed* is the owner's ear: called with the greenlet's name and the exception, or None when it returned and should
    not have.  It runs in the greenlet that ended, which is still a member then; it may stop the group.

    A greenlet that was killed, by :meth:`stop` or by whoever holds it, is no failure.  KeyboardInterrupt and SystemExit
    are no failures of a greenlet either: they end the program, as everywhere.
    """

    def __init__(self, name: str, failed: Callable[[str, BaseException | None], None]) -> None:
        self.name: Final = name
        self._failed: Final = failed
        self._members: set[Greenlet[..., Any]] = set()

    @property
    def alive(self) -> int:
        """How many have not ended yet."""
        return sum(not member.ready() for member in self._members)

    def spawn(
        self, function: Callable[[*Ts], object], *args: *Ts, name: str, on_end: OnEnd = Fail()
    ) -> Greenlet[..., Any]:
        """Start a greenlet; it gives what *function* returned, or None after a failure, which it never raises again.

        Raises ``RuntimeError`` when the group is not running: a greenlet begun while it stops would outlive it.
        """
        if not self.running:
            raise RuntimeError(f"{self.name}: {name!r} cannot be spawned, as the group is not running")
        greenlet = Greenlet(self._run, function, args, name, on_end)
        greenlet.name = f"{self.name}/{name}"
        self._members.add(greenlet)
        greenlet.rawlink(self._members.discard)  # also called for one that is killed before it ever ran
        greenlet.start()
        return greenlet

    def on_stop(self, deadline: Deadline) -> None:
        """Kill them all and wait until they are gone, or *deadline*; those that will not go are named in the log."""
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
            except BaseException as caught:  # noqa: BLE001  a gevent.Timeout that leaks is a failure too
                error = caught
            if not self.running:
                log.warning("%s/%s failed while it was stopped", self.name, name, exc_info=error)
                return None
            if not isinstance(on_end, Restart):
                self._tell(name, error)
                return None
            attempt = 1 if monotonic() - began >= on_end.steady else attempt + 1
            delay = on_end.backoff.delay(attempt)
            log.error("%s/%s %s, again in %.1f s", self.name, name, _how(error), delay, exc_info=error)
            del error  # its traceback holds this frame
            gevent.sleep(delay)

    def _tell(self, name: str, error: BaseException | None) -> None:
        log.error("%s/%s %s", self.name, name, _how(error), exc_info=error)
        try:
            self._failed(name, error)
        except Exception:
            log.exception("%s: telling the owner that %s ended failed too", self.name, name)


def _how(error: BaseException | None) -> str:
    return "returned, which it never should" if error is None else f"failed with {type(error).__name__}: {error}"
