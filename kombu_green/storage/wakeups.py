"""Waiting for work inside one process: a put wakes the consumers that wait for its queue, from any native thread.

A store keeps one :class:`QueueListeners`, calls :meth:`QueueListeners.wake` after each put and release, and returns a
:class:`StoreWakeups` from ``Storage.wakeups``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Protocol

from gevent import get_hub
from gevent.event import Event
from gevent.hub import Hub
from gevent.monkey import get_original

from kombu_green.clock import Deadline

__all__ = ["QueueListeners", "StoreWakeups", "WakeupFlag"]

# The native thread's number and a native lock, whether or not threading is patched.
_thread_number: Callable[[], int] = get_original("_thread", "get_ident")
_new_lock: Callable[[], AbstractContextManager[Any]] = get_original("_thread", "allocate_lock")


class WakeupFlag:
    """An event for one waiting greenlet that any native thread may set; a wait that returns clears it."""

    __slots__ = ("_event", "_hub", "_is_set", "_thread")

    def __init__(self) -> None:
        self._is_set = False
        self._event: Event | None = None  # made anew by each wait: an event belongs to the hub of the waiting greenlet
        self._hub: Hub | None = None
        self._thread = 0

    def set(self) -> None:
        """End the current wait, or the next one.  Never switches greenlets and never blocks."""
        self._is_set = True
        hub, event = self._hub, self._event
        if hub is None or event is None:
            return
        if _thread_number() == self._thread:
            event.set()
        else:
            hub.loop.run_callback_threadsafe(event.set)

    def wait(self, seconds: float | None) -> bool:
        """Wait up to *seconds* (None: without limit).  True if it was set since the last wait returned."""
        if not self._is_set and seconds != 0:
            self._wait_for_event(seconds)
        was_set, self._is_set = self._is_set, False
        return was_set

    def _wait_for_event(self, seconds: float | None) -> None:
        event = self._event = Event()
        self._thread = _thread_number()
        self._hub = get_hub()
        try:
            if not self._is_set:  # another thread may have set it before it could see this event
                event.wait(seconds)
        finally:
            self._hub = None


class QueueListeners:
    """Which flags to set when there is work in a queue."""

    def __init__(self) -> None:
        self._lock = _new_lock()
        self._flags: dict[str, set[WakeupFlag]] = {}

    @property
    def empty(self) -> bool:
        """True while no consumer waits."""
        return not self._flags

    @contextmanager
    def listen(self, flag: WakeupFlag, queues: Collection[str]) -> Iterator[None]:
        """Inside this context *flag* is set for work in any of *queues*."""
        self._add(flag, queues)
        try:
            yield
        finally:
            self._remove(flag, queues)

    def _add(self, flag: WakeupFlag, queues: Collection[str]) -> None:
        with self._lock:
            for name in queues:
                self._flags.setdefault(name, set()).add(flag)

    def _remove(self, flag: WakeupFlag, queues: Collection[str]) -> None:
        with self._lock:
            for name in queues:
                flags = self._flags.get(name, set())
                flags.discard(flag)
                if not flags:
                    self._flags.pop(name, None)

    def wake(self, queues: Iterable[str]) -> None:
        """Set the flags of all consumers that wait for one of *queues*.

        Never switches greenlets; may be called from any native thread.
        """
        if not self._flags:
            return
        with self._lock:
            flags = {flag for name in queues for flag in self._flags.get(name, ())}
        for flag in flags:
            flag.set()

    def wake_all(self) -> None:
        self.wake(list(self._flags))


class Listen(Protocol):
    """Opens a context in which the flag is set for work in the queues; :meth:`QueueListeners.listen` is one."""

    def __call__(self, flag: WakeupFlag, queues: Collection[str], /) -> AbstractContextManager[None]: ...


class StoreWakeups:
    """The contract's ``Wakeups``, for one greenlet at a time.

    *due_in* asks the store in how many seconds a message of the given queues can be taken: 0 is now, None is never.
    It is asked again after *poll_interval* seconds even if the flag was not set (None: only when something is due).
    """

    def __init__(
        self,
        listen: Listen,
        due_in: Callable[[Collection[str]], float | None],
        poll_interval: float | None = None,
    ) -> None:
        self._listen: Final = listen
        self._due_in: Final = due_in
        self._poll_interval: Final = poll_interval
        self._flag: Final = WakeupFlag()

    def wait(self, queues: Collection[str], deadline: Deadline) -> None:
        with self._listen(self._flag, queues):  # before the store is asked, so that a put in between sets the flag
            while not self._flag.wait(0):
                seconds = self._due_in(queues)
                if seconds == 0 or deadline.expired:
                    return
                if self._poll_interval is not None:
                    seconds = self._poll_interval if seconds is None else min(seconds, self._poll_interval)
                if self._flag.wait((deadline if seconds is None else deadline.sooner(seconds)).remaining()):
                    return

    def interrupt(self) -> None:
        self._flag.set()

    def close(self) -> None:
        self._flag.set()
