"""The flight recorder: shared memory that says which message each slot of a worker handles, and which has the hub.

The process writes without a system call.  The launcher has the same file open, and reads it after the process has died;
the watchdog thread of the process reads it while the process runs.  The layout::

    offset      content
    0           magic (8 bytes), number of rows (u32), bytes used by the names (u32)
    16          hub word (u64): the number of the row whose greenlet has the hub; 0 while the hub itself runs
    24          switched (u64): set to 1 at each switch of greenlets; the watchdog resets it to 0
    32          stacks requested (u64), stacks printed (u64): the launcher raises the first, the process follows with
                the second
    64          names: a JSON array [queue, callback] a line
    65536       rows of 2048 bytes: name (u32), bytes used by the identity (u32), since (f64), limit (f64),
                finished (u64), state (u8); from byte 40 on the message's identity, or its key when that is too long

``since`` is a time of the monotonic clock, which all processes of a machine share.  ``limit`` is in seconds; 0 is none.
``finished`` is the number of messages that the slot had finished when the current one began.  A slot serves one queue
for its whole life.  The state is written last, so a reader sees a complete row or a free one.
"""

from __future__ import annotations

import json
import mmap
import os
from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from math import isfinite
from struct import Struct
from typing import Final

from kombu_green.ipc.message_keys import KEY_SIZE, message_id_in, message_key
from kombu_green.printable import printable

__all__ = [
    "IDLE",
    "NO_ROW",
    "Recorder",
    "RecorderReader",
    "RecorderWord",
    "Row",
    "RowState",
    "RowWriter",
    "anonymous_file",
]

#: the hub word while the hub itself waits or runs
IDLE: Final = 0
#: the hub word while a greenlet has the hub that belongs to no slot
NO_ROW: Final = 2**32 - 1

_MAGIC: Final = b"kgfr\0\0\0\1"
_HEAD: Final = Struct("<8sII")
_WORDS: Final = slice(16, 64)
_NAMES_AT: Final = 64
_ROWS_AT: Final = 65536
_ROW: Final = Struct("<IIddQB7x")
_STRIDE: Final = 2048  # bytes from one row to the next
_ROOM: Final = _STRIDE - _ROW.size  # bytes for the identity
_STATE_AT: Final = _ROW.size - 8
_NAMELESS: Final = ("?", "?")


class RecorderWord(IntEnum):
    """The index of each of :attr:`Recorder.words`."""

    HUB = 0  # the number of the row that has the hub
    SWITCHED = 1  # 1 once a greenlet was switched to since the watchdog's last look
    STACKS_REQUESTED = 2  # how often the launcher has asked for the stacks of all greenlets
    STACKS_PRINTED = 3  # how many of these requests are done


class RowState(IntEnum):
    """Where the message of a row is handled, if there is one."""

    FREE = 0
    RUNNING = 1  # in the slot's greenlet
    OFFLOADED = 2  # in a native thread, which needs no hub


@dataclass(frozen=True, slots=True)
class Row:
    """A message in work.  *since* is a monotonic time; *limit*, in seconds, is its hard time limit, and 0 is none."""

    number: int  # from 1
    queue: str
    callback: str
    key: bytes  # the message key
    message_id: str  # its first 64 bytes; empty when the message has none
    since: float
    limit: float
    state: RowState

    def __str__(self) -> str:
        named = (
            f"message {printable(self.message_id)}" if self.message_id else f"a message known as {self.key.hex()[:12]}"
        )
        return printable(f"{named} of queue {self.queue} in {self.callback}")


def anonymous_file(name: str) -> int:
    """A descriptor of a new file without a path, which is freed with its last descriptor."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name)
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"{name}-{os.getpid()}-{os.urandom(8).hex()}")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    return fd


class Recorder:
    """The writing side, in a process with *rows* slots; rows are numbered from 1.

    *fd* is the file that the launcher reads; without one the memory is private to this process.
    """

    def __init__(self, rows: int, fd: int | None = None) -> None:
        size = _ROWS_AT + rows * _STRIDE
        if fd is not None:
            os.ftruncate(fd, size)
        self._map: Final = mmap.mmap(-1 if fd is None else fd, size)
        self.rows: Final = rows
        #: the shared words, by :class:`RecorderWord`
        self.words: Final = memoryview(self._map)[_WORDS].cast("Q")
        self._names: dict[tuple[str, str], int] = {}
        self._used = 0
        self._full = False
        _HEAD.pack_into(self._map, 0, _MAGIC, rows, 0)

    def name(self, queue: str, callback: str) -> int:
        """The number that stands for *queue* and *callback* in a row."""
        found = self._names.get((queue, callback))
        if found is None:
            found = self._names[queue, callback] = len(self._names)
            line = json.dumps([queue[:200], callback[:200]]).encode() + b"\n"
            end = _NAMES_AT + self._used + len(line)
            self._full = self._full or end > _ROWS_AT
            if not self._full:  # names for which there is no room are shown as ?
                self._map[end - len(line) : end] = line
                self._used += len(line)
                _HEAD.pack_into(self._map, 0, _MAGIC, self.rows, self._used)
        return found

    def running(self) -> list[Row]:
        """The rows that are not free; may be called from any thread of this process."""
        return _rows(self._map)

    def row(self, number: int) -> RowWriter:
        """The writer of row *number*, for the slot that owns it."""
        return RowWriter(self._map, number)


class RowWriter:
    """Writes the row of one slot; *finished* counts the messages that it has finished."""

    __slots__ = ("_at", "_identity_at", "_map", "_state_at", "finished", "number")

    def __init__(self, data: mmap.mmap, number: int) -> None:
        self.number: Final = number
        self.finished = 0
        self._map: Final = data
        self._at: Final = _at(number)
        self._identity_at: Final = self._at + _ROW.size
        self._state_at: Final = self._at + _STATE_AT

    def begin(
        self, name: int, identity: bytes, since: float, limit: float = 0.0, state: int = RowState.RUNNING
    ) -> None:
        """Note that the message with *identity* begins; *name* is a number of :meth:`Recorder.name`."""
        used, at = len(identity), self._identity_at
        if used > _ROOM:
            identity, used = message_key(identity), KEY_SIZE
        self._map[at : at + used] = identity
        _ROW.pack_into(self._map, self._at, name, used, since, limit, self.finished, state)

    def end(self) -> None:
        """Note that the slot is free: its message is settled or given back."""
        self._map[self._state_at] = 0
        self.finished += 1


class RecorderReader:
    """The reading side of the file *fd*, in the launcher; each call reads the memory as it is at that moment.

    A process that died before it wrote anything has no rows.
    """

    def __init__(self, fd: int) -> None:
        self._fd: Final = fd
        self._map: mmap.mmap | None = None

    def rows(self) -> list[Row]:
        """The rows that are not free."""
        data = self._mapped()
        return [] if data is None else _rows(data)

    def finished_by_queue(self) -> dict[str, int]:
        """How many messages of each queue the process has finished; the last one of each slot may be missing."""
        data = self._mapped()
        return {} if data is None else _finished_by_queue(data)

    @property
    def hub(self) -> int:
        """The number of the row that has the hub, :data:`IDLE` or :data:`NO_ROW`."""
        return self._word(RecorderWord.HUB)

    def request_stacks(self) -> None:
        """Ask the watchdog thread of the process to print the stacks of all greenlets."""
        data = self._mapped()
        if data is not None:
            words = memoryview(data)[_WORDS].cast("Q")
            words[RecorderWord.STACKS_REQUESTED] += 1
            words.release()

    @property
    def stacks_printed(self) -> bool:
        """Whether all stacks that were requested have been printed."""
        return self._word(RecorderWord.STACKS_REQUESTED) == self._word(RecorderWord.STACKS_PRINTED)

    def close(self) -> None:
        if self._map is not None:
            self._map.close()
            self._map = None
        os.close(self._fd)

    def _word(self, index: RecorderWord) -> int:
        data = self._mapped()
        return 0 if data is None else int.from_bytes(data[16 + 8 * index : 24 + 8 * index], "little")

    def _mapped(self) -> mmap.mmap | None:
        if self._map is None and os.fstat(self._fd).st_size >= _ROWS_AT:
            found = mmap.mmap(self._fd, 0)
            if found[:8] != _MAGIC:
                found.close()
                return None
            self._map = found
        return self._map


def _rows(data: mmap.mmap) -> list[Row]:
    """The valid rows that are not free; a process that corrupts its memory may have written anything."""
    names, numbers = _layout(data)
    return [row for number in numbers if (row := _read(data, number, names)) is not None]


def _finished_by_queue(data: mmap.mmap) -> dict[str, int]:
    found: Counter[str] = Counter()
    names, numbers = _layout(data)
    for number in numbers:
        name, _, _, _, finished, _ = _ROW.unpack_from(data, _at(number))
        if finished and name < len(names):
            found[names[name][0]] += finished
    return dict(found)


def _layout(data: mmap.mmap) -> tuple[list[tuple[str, str]], range]:
    """The names, and the numbers of the rows."""
    _, count, used = _HEAD.unpack_from(data)
    names = [_name(line) for line in data[_NAMES_AT : min(_NAMES_AT + used, _ROWS_AT)].splitlines()]
    return names, range(1, min(count, (len(data) - _ROWS_AT) // _STRIDE) + 1)


def _at(number: int) -> int:
    return _ROWS_AT + (number - 1) * _STRIDE


def _name(line: bytes) -> tuple[str, str]:
    try:
        queue, callback = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return _NAMELESS
    return str(queue), str(callback)


def _read(data: mmap.mmap, number: int, names: list[tuple[str, str]]) -> Row | None:
    at = _at(number)
    name, used, since, limit, _, state = _ROW.unpack_from(data, at)
    if state not in (RowState.RUNNING, RowState.OFFLOADED) or not (isfinite(since) and isfinite(limit)):
        return None
    queue, callback = names[name] if name < len(names) else _NAMELESS
    identity = data[at + _ROW.size : at + _ROW.size + min(used, _ROOM)]
    key, message_id = message_key(identity), message_id_in(identity)
    return Row(number, queue, callback, key, message_id, since, limit, RowState(state))
