"""A pool of native threads for calls that would block the hub: SQLite, fsync, a callback that burns CPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast

from gevent import get_hub
from gevent.hub import Hub
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool

from kombu_green.green.fork import end_child, forks

__all__ = ["Threads"]

P = ParamSpec("P")
T = TypeVar("T")

# the number of the native thread, even if threading is patched
_thread_number: Callable[[], int] = get_original("_thread", "get_ident")


class Threads:
    """At most *size* native threads for each hub; they are started when needed, and end with :meth:`close`.

    A gevent thread pool belongs to one hub.  So if several native threads with a hub each use this object, each of them
    has *size* threads.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"a thread pool needs a thread at least, not {size}")
        self.size: Final = size
        self._pools: dict[Hub, _HubPool] = {}
        self._inside: set[int] = set()
        self._closed = False
        self._pid = os.getpid()

    @property
    def running(self) -> int:
        """The number of calls under way, of all hubs."""
        return sum(len(pool.threads) for pool in list(self._pools.values()))

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run *function* in a native thread and return its result; only the calling greenlet waits.

        What it raises is raised here, with the traceback of the thread.  If the calling greenlet is killed or times out
        meanwhile, the function still runs to its end and its result is dropped; so it has to take the locks that it
        needs by itself.  A call from one of the pool's own threads runs there directly.
        """
        self._reset_after_fork()
        if _thread_number() in self._inside:
            return function(*args, **kwargs)
        pool = self._hub_pool()
        pool.callers += 1
        try:
            result = cast("_CallResult[T]", pool.threads.spawn(self._run, function, args, kwargs).get())
        finally:
            pool.callers -= 1
            if self._closed and not pool.callers:
                pool.end()
        return result.unwrap()

    def close(self) -> None:
        """Refuse further calls (``RuntimeError``); the threads end after the calls under way.  Does not wait."""
        self._reset_after_fork()
        if self._closed:
            return
        self._closed = True
        for pool in list(self._pools.values()):
            if not pool.callers:
                pool.end()

    def _hub_pool(self) -> _HubPool:
        if self._closed:
            raise RuntimeError("this thread pool is closed")
        hub = get_hub()
        pool = self._pools.get(hub)
        if pool is None:
            self._discard_dead_hubs()
            pool = self._pools[hub] = _HubPool(ThreadPool(self.size, hub))
        return pool

    def _discard_dead_hubs(self) -> None:
        """End the pools of hubs that have ended; another thread may do the same at the same time."""
        for hub in list(self._pools):
            left = self._pools.pop(hub, None) if _has_ended(hub) else None
            if left is not None:
                left.end()

    def _reset_after_fork(self) -> None:
        """In the child of a fork, start empty: the threads do not exist there, and one may have held a queue's lock."""
        if self._pid != os.getpid():
            self._pid, self._pools, self._inside = os.getpid(), {}, set()

    def _run(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _CallResult[T]:
        number, count = _thread_number(), forks.count
        self._inside.add(number)
        try:
            result = _CallResult(function(*args, **kwargs), None)
        except BaseException as error:  # noqa: BLE001  unwrap() raises it in the calling greenlet
            result = _CallResult(None, error)
        finally:
            self._inside.discard(number)
            del function, args, kwargs  # or an idle thread would keep them alive
        if forks.count != count:
            end_child(result.error)  # of a fork that the function has made: its caller is in the parent
        return result


def _has_ended(hub: Hub) -> bool:
    """Whether *hub* has ended with its thread (its greenlet gets to know that a little later) or was destroyed."""
    return hub.dead or hub.loop is None


class _HubPool:
    """The thread pool of one hub, and how many of the hub's greenlets wait for a thread or a result."""

    __slots__ = ("callers", "threads")

    def __init__(self, threads: ThreadPool) -> None:
        self.threads: Final = threads
        self.callers = 0

    def end(self) -> None:
        # not ThreadPool.kill(): it sleeps until its threads have ended, and may be called from its own hub only
        for _ in range(self.threads.size):
            self.threads.task_queue.put(None)  # type: ignore[arg-type]  # the stubs do not allow None, which ends a thread


class _CallResult(Generic[T]):
    """The value that a call returned, or the exception that it raised.

    The exception is handed over as a value, because gevent prints every exception that ends a task of a pool.
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
