"""How a consumer that waits learns of work: it listens to a bell, which anybody rings, from any native thread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Protocol

from gevent import get_hub
from gevent.event import Event
from gevent.hub import Hub
from gevent.monkey import get_original

from kombu_green.clock import Deadline

__all__ = ["Bell", "BellWakeups", "Bells"]

# the native thread's number, whether or not threading is patched
_thread_number: Callable[[], int] = get_original("_thread", "get_ident")
_new_lock: Callable[[], AbstractContextManager[Any]] = get_original("_thread", "allocate_lock")


class Bell:
    """Rings are remembered until they are heard; many rings are heard as one."""

    __slots__ = ("_event", "_hub", "_rung", "_thread")

    def __init__(self) -> None:
        self._rung = False
        self._event: Event | None = None  # made by the first wait: an event belongs to the hub that waits
        self._hub: Hub | None = None
        self._thread = 0

    def ring(self) -> None:
        """Never switches and never blocks."""
        self._rung = True
        hub, event = self._hub, self._event
        if hub is None or event is None:
            return
        if _thread_number() == self._thread:
            event.set()
        else:
            hub.loop.run_callback_threadsafe(event.set)

    def wait(self, seconds: float | None) -> bool:
        """Whether it rang, since it was last heard or within so many *seconds* (None: for ever)."""
        if not self._rung and seconds != 0:
            self._listen(seconds)
        rung, self._rung = self._rung, False
        return rung

    def _listen(self, seconds: float | None) -> None:
        event = self._event = Event()
        self._thread = _thread_number()
        self._hub = get_hub()
        try:
            if not self._rung:  # another thread may have rung before it could see who listens
                event.wait(seconds)
        finally:
            self._hub = None


class Bells:
    """Who listens for work in which queue."""

    def __init__(self) -> None:
        self._lock = _new_lock()
        self._listeners: dict[str, set[Bell]] = {}

    @property
    def silent(self) -> bool:
        """True when nobody listens."""
        return not self._listeners

    @contextmanager
    def listening(self, bell: Bell, queues: Collection[str]) -> Iterator[None]:
        """While this is open, *bell* rings for work in *queues*."""
        self._listen(bell, queues)
        try:
            yield
        finally:
            self._unlisten(bell, queues)

    def _listen(self, bell: Bell, queues: Collection[str]) -> None:
        with self._lock:
            for name in queues:
                self._listeners.setdefault(name, set()).add(bell)

    def _unlisten(self, bell: Bell, queues: Collection[str]) -> None:
        with self._lock:
            for name in queues:
                bells = self._listeners.get(name, set())
                bells.discard(bell)
                if not bells:
                    self._listeners.pop(name, None)

    def ring(self, queues: Iterable[str]) -> None:
        """Never switches; may be called from any native thread."""
        if not self._listeners:
            return
        with self._lock:
            bells = {bell for name in queues for bell in self._listeners.get(name, ())}
        for bell in bells:
            bell.ring()

    def ring_all(self) -> None:
        self.ring(list(self._listeners))


class Listening(Protocol):
    """Opens a context in which the bell rings for work in the queues."""

    def __call__(self, bell: Bell, queues: Collection[str], /) -> AbstractContextManager[None]: ...


class BellWakeups:
    """The contract's ``Wakeups``, for one greenlet at a time.

    *look* gives seconds until something may be taken: 0 is now, None is never.  A consumer looks again after *longest*
    seconds, whatever the bell says.
    """

    def __init__(
        self, listening: Listening, look: Callable[[Collection[str]], float | None], longest: float | None = None
    ) -> None:
        self._listening: Final = listening
        self._look: Final = look
        self._longest: Final = longest
        self._bell: Final = Bell()

    def wait(self, queues: Collection[str], deadline: Deadline) -> None:
        with self._listening(self._bell, queues):  # first, then look: what comes in between rings
            while not self._bell.wait(0):
                seconds = self._look(queues)
                if seconds == 0 or deadline.expired:
                    return
                if self._longest is not None:
                    seconds = self._longest if seconds is None else min(seconds, self._longest)
                if self._bell.wait((deadline if seconds is None else deadline.sooner(seconds)).remaining()):
                    return

    def interrupt(self) -> None:
        self._bell.ring()

    def close(self) -> None:
        self._bell.ring()
