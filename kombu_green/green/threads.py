"""Calls that block a thread, made without blocking the hub: SQLite, fsync, a callback that burns CPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast

from gevent import get_hub
from gevent.hub import Hub
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool

__all__ = ["Threads"]

P = ParamSpec("P")
T = TypeVar("T")

# the native thread's number, whether or not threading is patched
_thread_number: Callable[[], int] = get_original("_thread", "get_ident")


class Threads:
    """At most *size* native threads for each hub that calls; they are made when needed and end with :meth:`close`.

    A gevent thread pool belongs to one hub, so every native thread that runs a hub and calls gets a pool of its own.
    The ``call`` of an ordinary program with one hub is thus bounded by *size*.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"a thread pool needs a thread at least, not {size}")
        self.size: Final = size
        self._lanes: dict[Hub, _Lane] = {}
        self._inside: set[int] = set()
        self._closed = False
        self._pid = os.getpid()

    @property
    def running(self) -> int:
        """Calls that were handed to a thread and have not come back, of all hubs."""
        return sum(len(lane.pool) for lane in list(self._lanes.values()))

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run *function* in a native thread; only the calling greenlet waits.

        What it raises is raised here, with the thread's part of the traceback.  When the calling greenlet is killed
        or times out meanwhile, the function still runs to its end and its result is forgotten; it must therefore hold
        what it needs (a lock, a cursor) by itself.  Called from one of these threads it runs right there.
        """
        self._leave_parents_alone()
        if _thread_number() in self._inside:
            return function(*args, **kwargs)
        lane = self._lane()
        lane.callers += 1
        try:
            outcome = cast("_Outcome[T]", lane.pool.spawn(self._run, function, args, kwargs).get())
        finally:
            lane.callers -= 1
            if self._closed and not lane.callers:
                lane.end()
        return outcome.unwrap()

    def close(self) -> None:
        """Take no more calls; those under way finish and come back, then the threads end.  Does not wait."""
        self._leave_parents_alone()
        if self._closed:
            return
        self._closed = True
        for lane in list(self._lanes.values()):
            if not lane.callers:
                lane.end()

    def _lane(self) -> _Lane:
        if self._closed:
            raise RuntimeError("this thread pool is closed")
        hub = get_hub()
        lane = self._lanes.get(hub)
        if lane is None:
            self._tidy()
            lane = self._lanes[hub] = _Lane(ThreadPool(self.size, hub))
        return lane

    def _tidy(self) -> None:
        """Give up the lanes of hubs that ended; another thread may do the same just now."""
        for hub in list(self._lanes):
            left = self._lanes.pop(hub, None) if _over(hub) else None
            if left is not None:
                left.end()

    def _leave_parents_alone(self) -> None:
        """In the child of a fork: begin anew; the threads are not there, and one may have had a queue's lock."""
        if self._pid != os.getpid():
            self._pid, self._lanes, self._inside = os.getpid(), {}, set()

    def _run(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Outcome[T]:
        number = _thread_number()
        self._inside.add(number)
        try:
            return _Outcome(function(*args, **kwargs), None)
        except BaseException as error:  # noqa: BLE001  it is raised again in the greenlet that asked
            return _Outcome(None, error)
        finally:
            self._inside.discard(number)
            del function, args, kwargs  # an idle thread keeps nothing alive


def _over(hub: Hub) -> bool:
    """Whether it ended with its thread, which its greenlet is told a little later, or was destroyed."""
    return hub.dead or hub.loop is None


class _Lane:
    """One hub's pool, and how many of its greenlets wait for a thread or an answer."""

    __slots__ = ("callers", "pool")

    def __init__(self, pool: ThreadPool) -> None:
        self.pool: Final = pool
        self.callers = 0

    def end(self) -> None:
        # The pool's own kill() sleeps until its threads are gone and is for its own hub only; this is for any thread.
        for _ in range(self.pool.size):
            self.pool.task_queue.put(None)  # type: ignore[arg-type]  # the stubs forget it


class _Outcome(Generic[T]):
    """What came of a call.

    An exception travels as a value, because gevent prints one that ends a pool's task, expected or not.
    """

    __slots__ = ("error", "value")

    def __init__(self, value: T | None, error: BaseException | None) -> None:
        self.value = value
        self.error = error

    def unwrap(self) -> T:
        error = self.error
        if error is None:
            return cast("T", self.value)
        try:
            raise error
        finally:
            del self.error, error  # the traceback holds this frame
