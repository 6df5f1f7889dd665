"""A small file beside the database by which its processes take turns, and tell each other what changed.

**Turns.**  SQLite's own wait for its write lock is a sleep that grows, so whoever has slept longest loses: with three
busy processes the slowest of many writes took 0.9 s, and 0.07 s when they ask for a lock on this file in short, equal
intervals.  (Waiting for it in the kernel halves the rate, and has no end when the other process is stopped.)  That is
fairness only: nothing is wrong without it.

**News.**  The file holds counters: one for changes of the topology, and some that queues share by the checksum of their
name.  To read one takes a microsecond and no thread, so a publisher can use the bindings that it remembers and still
never uses old ones.  After news the file changes its size, which the operating system reports to whoever watches it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from zlib import crc32

from gevent.monkey import get_original

from kombu_green.exceptions import ConnectionLost

try:
    import fcntl as _fcntl
except ImportError:  # Windows: no turns, and no news
    _flock: Callable[[int, int], None] | None = None
else:
    _flock = _fcntl.flock

__all__ = ["Bulletin"]

_TRY, _UNLOCK = 2 | 4, 8  # LOCK_EX | LOCK_NB and LOCK_UN, wherever there is flock
_INTERVAL: Final = 0.0003  # seconds between tries
_WORD: Final = 8  # bytes
_COUNTERS: Final = 1024
_SIZE: Final = _WORD * (1 + _COUNTERS)
_SIZES: Final = 256  # the file is this many bytes longer at most

_sleep: Callable[[float], None] = get_original("time", "sleep")  # turns are waited for in native threads


class Bulletin:
    """Reading is for anybody; the rest is for one thread at a time.

    :attr:`shared` is False where the operating system has no such locks; then there are neither turns nor news.
    """

    shared: Final = _flock is not None

    def __init__(self, path: Path, patience: float = 30.0) -> None:
        self.path: Final = path
        self._patience: Final = patience
        self._file: Final = self._open()

    def _open(self) -> int:
        return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def close(self) -> None:
        os.close(self._file)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until no other process writes; the end of its process ends a turn, too.

        :exc:`~kombu_green.exceptions.ConnectionLost` after *patience* seconds.
        """
        if _flock is None:
            yield
            return
        self._lock(_flock)
        try:
            self._mend(_flock)
            yield
        finally:
            _flock(self._file, _UNLOCK)

    def _lock(self, flock: Callable[[int, int], None]) -> None:
        end = time.monotonic() + self._patience
        while True:
            try:
                flock(self._file, _TRY)
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise ConnectionLost(
                        f"{self.path}: another process has held this lock for {self._patience:g} s: is it stopped?"
                    ) from None
                _sleep(_INTERVAL)
            else:
                return

    def _mend(self, flock: Callable[[int, int], None]) -> None:
        if not os.fstat(self._file).st_nlink:  # removed; those who come now make another
            fresh = self._open()
            os.dup2(fresh, self._file, inheritable=False)
            os.close(fresh)
            self._lock(flock)
        if os.fstat(self._file).st_size < _SIZE:  # a new one, which must not count on from where another began
            os.ftruncate(self._file, _SIZE)
            self._write(0, int.from_bytes(os.urandom(_WORD - 1), sys.byteorder))

    @property
    def topology(self) -> int:
        """Another number after each change of queues, exchanges or bindings."""
        return self._read(0)

    def topology_changed(self) -> None:
        self._write(0, self._read(0) + 1)

    def news(self, queue: str) -> int:
        """Another number after there was news of *queue*."""
        return self._read(_place(queue))

    def announce(self, queues: Iterable[str]) -> None:
        places = {_place(queue) for queue in queues}
        for place in places:
            self._write(place, self._read(place) + 1)
        if places:
            more = (os.fstat(self._file).st_size - _SIZE + 1) % _SIZES
            os.ftruncate(self._file, _SIZE + more)

    def _read(self, place: int) -> int:
        try:
            found = os.pread(self._file, _WORD, place * _WORD)
        except OSError:  # closed meanwhile
            return 0
        return int.from_bytes(found, sys.byteorder)

    def _write(self, place: int, count: int) -> None:
        os.pwrite(self._file, count.to_bytes(_WORD, sys.byteorder), place * _WORD)


def _place(queue: str) -> int:
    return 1 + crc32(queue.encode("utf-8", "surrogatepass")) % _COUNTERS
