"""The deaths that messages are blamed for, on disk: they outlive the launcher, and launchers of one file share them.

The file ``blames.json`` is the authority.  A change takes a lock, reads the file, changes the records and replaces the
file.  A look reads the file again when it has changed since the last time.

The launcher's loop must not wait for the lock, which any program may hold.  While it cannot be had, and while the disk
fails, changes are kept in memory, the log says so once, and they are written when that is possible again.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from kombu_green.launcher.death_rules import MARKS, Attribution, DeathRecord, with_attribution

__all__ = ["DeathRecords"]

log = logging.getLogger("kombu_green.launcher")

_KEPT: Final = 10_000  # records, the youngest
_MAX_AGE: Final = 7 * 86400.0  # seconds since the last attribution
_FORMAT: Final = 1
_TRIES: Final = 10  # to get the lock, which another launcher holds for a millisecond
_TRY_EVERY: Final = 0.005  # seconds
_TRY_AGAIN_AFTER: Final = 1.0  # seconds after the last of these tries


_Change = Callable[[dict[str, DeathRecord]], object]


class DeathRecords:
    """The records by message key, in ``blames.json`` of *folder*; without a folder they are kept in memory only."""

    def __init__(self, folder: Path | None, *, kept: int = _KEPT, clock: Callable[[], float] = time.time) -> None:
        self._file: Final = None if folder is None else folder / "blames.json"
        self._kept: Final = kept
        self._clock: Final = clock
        self._records: dict[str, DeathRecord] = {}
        self._version: tuple[int, int] | None = None  # of the file that the records were read from
        self._disk_works = True
        self._lock_held = False  # by another program, as the log says
        self._unwritten: Final[deque[_Change]] = deque(maxlen=kept)  # applied to the records, and not on disk yet
        self._write_at = 0.0  # the monotonic time of the next try

    def get(self, key: str) -> DeathRecord | None:
        """The record of the message with *key*, if there is one."""
        self._refresh()
        return self._records.get(key)

    def counts(self) -> tuple[int, int]:
        """How many messages are blamed for at least one death, and how many are suspects."""
        self._refresh()
        records = self._records.values()
        return sum(record.blames > 0 for record in records), sum(record.marks >= MARKS for record in records)

    def latest(self, number: int) -> list[tuple[str, DeathRecord]]:
        """The keys and records of the *number* messages that a death was attributed to last, the latest first."""
        self._refresh()
        return list(reversed(self._records.items()))[:number]

    def add(self, attributions: Iterable[Attribution]) -> None:
        """Add *attributions* to the records of their messages."""
        attributions, now = list(attributions), self._clock()

        def change(records: dict[str, DeathRecord]) -> None:
            for attribution in attributions:
                records[attribution.key] = with_attribution(records.pop(attribution.key, None), attribution, now)

        if attributions:
            self._change(change)

    def forget(self, key: str) -> None:
        """Remove the record of a message that was settled."""
        if self.get(key) is not None:
            self._change(lambda records: records.pop(key, None))

    def _change(self, change: _Change) -> None:
        """Apply *change* to the records, and write them if that is possible now."""
        self._refresh()
        change(self._records)
        self._trim()
        if self._file is not None:
            self._unwritten.append(change)
            self.write_changes()

    def write_changes(self, *, at_last: bool = False) -> None:
        """Write the changes that are not on disk yet, if there are any.  To be called often; takes 50 ms at most.

        *at_last*: the launcher ends, so what cannot be written now is forgotten, and logged.
        """
        if self._file is None or not self._unwritten or (time.monotonic() < self._write_at and not at_last):
            return
        with ExitStack() as stack:
            if self._lock(self._file.with_suffix(".lock"), stack):
                self._refresh()
                if self._write(self._file):
                    self._unwritten.clear()
                    return
        self._write_at = time.monotonic() + _TRY_AGAIN_AFTER
        if at_last:
            fields = {"event": "death records"}
            log.error("%s: %d changes of blames are forgotten", self._file, len(self._unwritten), extra=fields)

    def _lock(self, file: Path, stack: ExitStack) -> bool:
        """Whether the lock can be had, until *stack* ends; where files cannot be locked it is done without."""
        try:
            lock = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, lock)
            for _ in range(_TRIES):
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    time.sleep(_TRY_EVERY)
                else:
                    self._lock_held = False
                    return True
        except OSError as error:
            self._report_failure(f"{file} cannot be locked ({error})")
            return True
        if not self._lock_held:
            self._lock_held = True
            text = "%s is held by another program: blames are kept in memory until it is free"
            log.error(text, file, extra={"event": "death records"})
        return False

    def _trim(self) -> None:
        """Drop records that are too old, and the oldest ones beyond the bound; the dict is in order of age."""
        oldest = self._clock() - _MAX_AGE
        young = [(key, record) for key, record in self._records.items() if record.seen >= oldest]
        self._records = dict(young[-self._kept :])

    def _write(self, file: Path) -> bool:
        """Replace *file*; whether that was possible."""
        records = {
            key: {
                "blames": record.blames,
                "marks": record.marks,
                "seen": record.seen,
                "words": list(record.reasons),
                "id": record.message_id,
                "queue": record.queue,
                "callback": record.callback,
            }
            for key, record in self._records.items()
        }
        new_file = file.with_suffix(".new")
        try:
            with open(new_file, "w", opener=_open_private) as out:
                json.dump({"format": _FORMAT, "records": records}, out)
            os.replace(new_file, file)
            self._version = _version(file)
        except OSError as error:
            self._report_failure(f"{file} cannot be written ({error}): blames are forgotten at the next start")
            return False
        self._disk_works = True
        return True

    def _refresh(self) -> None:
        """Read the file if it has changed since it was read last."""
        if self._file is None:
            return
        try:
            version = _version(self._file)
            if version == self._version:
                return
            self._version = version  # set first: a file that cannot be read is not read again
            self._records = _read(self._file)
            for change in self._unwritten:
                change(self._records)
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            self._report_failure(f"{self._file} cannot be read ({error}): earlier blames are forgotten")

    def _report_failure(self, message: str) -> None:
        """Log the first failure of the disk."""
        if self._disk_works:
            log.error("%s", message, extra={"event": "death records"})
        self._disk_works = False


def _open_private(path: str, flags: int) -> int:
    """For ``open``: a new file is for this user alone."""
    return os.open(path, flags, 0o600)


def _version(file: Path) -> tuple[int, int]:
    """What changes whenever the file is replaced."""
    found = file.stat()
    return found.st_ino, found.st_mtime_ns


def _read(file: Path) -> dict[str, DeathRecord]:
    content: Any = json.loads(file.read_text())
    if content["format"] != _FORMAT:
        raise ValueError(f"its format is {content['format']}, not {_FORMAT}")
    return {str(key): _record(fields) for key, fields in content["records"].items()}


def _record(fields: Mapping[str, Any]) -> DeathRecord:
    return DeathRecord(
        blames=int(fields["blames"]),
        marks=int(fields["marks"]),
        seen=float(fields["seen"]),
        reasons=tuple(map(str, fields["words"])),
        message_id=str(fields.get("id", "")),
        queue=str(fields.get("queue", "")),
        callback=str(fields.get("callback", "")),
    )
