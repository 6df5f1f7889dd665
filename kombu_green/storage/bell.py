"""Bells: one greenlet listens to one, and anybody rings it, from any native thread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from gevent import get_hub
from gevent.event import Event
from gevent.hub import Hub
from gevent.monkey import get_original

__all__ = ["Bell", "Bells"]

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
