"""The deaths that messages are blamed for, on disk: they outlive the launcher, and launchers of one file share them.

The file ``blames.json`` is the authority.  A change takes a lock, reads the file, changes the records and replaces the
file.  A look reads the file again when it has changed since the last time.  When the disk fails the records stay in
memory until the launcher ends, and the log says so once.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
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


class DeathRecords:
    """The records by message key, in ``blames.json`` of *folder*; without a folder they are kept in memory only."""

    def __init__(self, folder: Path | None, *, kept: int = _KEPT, clock: Callable[[], float] = time.time) -> None:
        self._file: Final = None if folder is None else folder / "blames.json"
        self._kept: Final = kept
        self._clock: Final = clock
        self._records: dict[str, DeathRecord] = {}
        self._version: tuple[int, int] | None = None  # of the file that the records were read from
        self._disk_works = True

    def get(self, key: str) -> DeathRecord | None:
        """The record of the message with *key*, if there is one."""
        self._refresh()
        return self._records.get(key)

    def counts(self) -> tuple[int, int]:
        """How many messages are blamed for at least one death, and how many are suspects."""
        self._refresh()
        records = self._records.values()
        return sum(record.blames > 0 for record in records), sum(record.marks >= MARKS for record in records)

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

    def _change(self, change: Callable[[dict[str, DeathRecord]], object]) -> None:
        """Apply *change* to the records as they are on disk, and write them."""
        with ExitStack() as stack:
            if self._file is not None:
                try:
                    lock = stack.enter_context(open(self._file.with_suffix(".lock"), "a"))
                    fcntl.flock(lock, fcntl.LOCK_EX)
                except OSError as error:
                    self._report_failure(f"{self._file} cannot be locked ({error})")
            self._refresh()
            change(self._records)
            self._trim()
            self._write()

    def _trim(self) -> None:
        """Drop records that are too old, and the oldest ones beyond the bound; the dict is in order of age."""
        oldest = self._clock() - _MAX_AGE
        young = [(key, record) for key, record in self._records.items() if record.seen >= oldest]
        self._records = dict(young[-self._kept :])

    def _write(self) -> None:
        if self._file is None:
            return
        records = {
            key: {
                "blames": record.blames,
                "marks": record.marks,
                "seen": record.seen,
                "words": list(record.reasons),
            }
            for key, record in self._records.items()
        }
        new_file = self._file.with_suffix(".new")
        try:
            with open(new_file, "w") as out:
                json.dump({"format": _FORMAT, "records": records}, out)
            os.replace(new_file, self._file)
            self._version = _version(self._file)
        except OSError as error:
            self._report_failure(f"{self._file} cannot be written ({error}): blames are forgotten at the next start")

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
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            self._report_failure(f"{self._file} cannot be read ({error}): earlier blames are forgotten")

    def _report_failure(self, message: str) -> None:
        """Log the first failure of the disk."""
        if self._disk_works:
            log.error("%s", message, extra={"event": "death records"})
        self._disk_works = False


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
    )
