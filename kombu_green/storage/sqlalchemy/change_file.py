"""A small file beside the database: its processes take turns to write by it, and announce changes to each other in it.

**Turns.**  SQLite waits for its write lock by sleeps that grow, so the process that has slept longest loses: with three
busy processes the slowest of many writes took 0.9 s.  It took 0.07 s when they ask for a lock on this file in short,
equal intervals.  (A wait for it in the kernel halves the rate, and has no end when the other process is stopped.)
Turns are about fairness only: SQLite's own lock keeps the data right without them.

**Changes.**  The file holds counters: one for changes of queues, exchanges and bindings, and some that queues share by
the checksum of their name.  To read one takes a microsecond and no thread.  So a publisher can use the bindings that it
remembers and still never uses outdated ones.  Each announcement also changes the size of the file, which the operating
system reports to a process that watches it.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary
from zlib import crc32

from gevent import get_hub
from gevent.hub import Hub
from gevent.monkey import get_original

from kombu_green.exceptions import ConnectionLost
from kombu_green.storage.wakeups import QueueListeners, WakeupFlag

try:
    import fcntl as _fcntl
except ImportError:  # Windows: no turns, and no counters
    _flock: Callable[[int, int], None] | None = None
else:
    _flock = _fcntl.flock

__all__ = ["ChangeFile", "ChangeWatcher"]

_TRY_LOCK, _UNLOCK = 2 | 4, 8  # LOCK_EX | LOCK_NB and LOCK_UN, wherever there is flock
_LOCK_INTERVAL: Final = 0.0003  # seconds between two tries to lock the file
_COUNTER_SIZE: Final = 8  # bytes
_QUEUE_COUNTERS: Final = 1024
_SIZE: Final = _COUNTER_SIZE * (1 + _QUEUE_COUNTERS)
_EXTRA_SIZES: Final = 256  # the file is up to this many bytes longer
_STAT_INTERVAL: Final = 0.1  # seconds between two looks at the file where the system does not report changes

_sleep: Callable[[float], None] = get_original("time", "sleep")  # native threads wait for a turn


class ChangeFile:
    """Any thread may read the counters; the other methods are for one thread at a time.

    :attr:`shared` is False where the operating system has no ``flock``.  Then there are neither turns nor counters.
    *patience* is in seconds.
    """

    shared: Final = _flock is not None

    def __init__(self, path: Path, patience: float) -> None:
        self.path: Final = path
        self._patience: Final = patience
        self._file: Final = self._open()

    def _open(self) -> int:
        return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def close(self) -> None:
        os.close(self._file)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Inside this context no other process writes.  A turn ends with its process, too.

        Raises :exc:`~kombu_green.exceptions.ConnectionLost` after *patience* seconds of waiting.
        """
        if _flock is None:
            yield
            return
        self._lock(_flock)
        try:
            self._repair(_flock)
            yield
        finally:
            _flock(self._file, _UNLOCK)

    def _lock(self, flock: Callable[[int, int], None]) -> None:
        end = time.monotonic() + self._patience
        while True:
            try:
                flock(self._file, _TRY_LOCK)
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise ConnectionLost(
                        f"{self.path}: another process has held this lock for {self._patience:g} s: is it stopped?"
                    ) from None
                _sleep(_LOCK_INTERVAL)
            else:
                return

    def _repair(self, flock: Callable[[int, int], None]) -> None:
        if not os.fstat(self._file).st_nlink:  # it was removed, and other processes create a new one
            fresh = self._open()
            os.dup2(fresh, self._file, inheritable=False)
            os.close(fresh)
            self._lock(flock)
        if os.fstat(self._file).st_size < _SIZE:  # a new file: its counters must differ from those of an earlier one
            os.ftruncate(self._file, _SIZE)
            self._write(0, int.from_bytes(os.urandom(_COUNTER_SIZE - 1), sys.byteorder))

    @property
    def topology(self) -> int:
        """A number that is another one after each change of queues, exchanges or bindings."""
        return self._read(0)

    def announce_topology(self) -> None:
        """Announce that queues, exchanges or bindings have changed."""
        self._write(0, self._read(0) + 1)

    def changes(self, queue: str) -> int:
        """A number that is another one after each announcement of *queue*, and sometimes of another queue."""
        return self._read(_position(queue))

    def announce(self, queues: Iterable[str]) -> None:
        """Announce that messages of *queues* may be ready now, or that they were dropped."""
        positions = {_position(queue) for queue in queues}
        for position in positions:
            self._write(position, self._read(position) + 1)
        if positions:
            extra = (os.fstat(self._file).st_size - _SIZE + 1) % _EXTRA_SIZES
            os.ftruncate(self._file, _SIZE + extra)

    def _read(self, position: int) -> int:
        try:
            found = os.pread(self._file, _COUNTER_SIZE, position * _COUNTER_SIZE)
        except OSError:  # it was closed meanwhile
            return 0
        return int.from_bytes(found, sys.byteorder)

    def _write(self, position: int, count: int) -> None:
        os.pwrite(self._file, count.to_bytes(_COUNTER_SIZE, sys.byteorder), position * _COUNTER_SIZE)


def _position(queue: str) -> int:
    return 1 + crc32(queue.encode("utf-8", "surrogatepass")) % _QUEUE_COUNTERS


class ChangeWatcher:
    """Wakes the consumers of this process for what other processes announce in the change file.

    Each hub watches the file for itself, and only while one of its consumers waits.
    """

    def __init__(self, listeners: QueueListeners, file: ChangeFile) -> None:
        self._listeners: Final = listeners
        self._file: Final = file
        self._hubs: WeakKeyDictionary[Hub, _HubWatcher] = WeakKeyDictionary()

    @contextmanager
    def listen(self, flag: WakeupFlag, queues: Collection[str]) -> Iterator[None]:
        """Inside this context *flag* is set for work in any of *queues*, from whatever process it comes."""
        hub = get_hub()
        watcher = self._hubs.get(hub)
        if watcher is None:
            watcher = self._hubs[hub] = _HubWatcher(hub, self._listeners, self._file)
        with self._listeners.listen(flag, queues):
            watcher.add(queues)
            try:
                yield
            finally:
                watcher.remove(queues)


class _HubWatcher:
    """Watches the file for one hub; remembers the counters of the queues that a consumer in that hub waits for."""

    def __init__(self, hub: Hub, listeners: QueueListeners, file: ChangeFile) -> None:
        self._listeners: Final = listeners
        self._file: Final = file
        self._waiting: Final[Counter[str]] = Counter()  # consumers by queue
        self._seen: Final[dict[str, int]] = {}
        self._stat: Final[Any] = hub.loop.stat(str(file.path), _STAT_INTERVAL)

    def add(self, queues: Collection[str]) -> None:
        if not self._waiting:
            self._stat.start(self._compare)
        for queue in queues:
            self._waiting[queue] += 1
            # a consumer that waits already may not have been told of a change before this moment: keep what was seen
            self._seen.setdefault(queue, self._file.changes(queue))

    def remove(self, queues: Collection[str]) -> None:
        for queue in queues:
            self._waiting[queue] -= 1
            if not self._waiting[queue]:
                del self._waiting[queue], self._seen[queue]
        if not self._waiting:
            self._stat.stop()

    def _compare(self) -> None:
        counters = {queue: self._file.changes(queue) for queue in self._seen}
        changed = [queue for queue, count in counters.items() if count != self._seen[queue]]
        self._seen.update(counters)
        self._listeners.wake(changed)
