"""Who was blamed for what, on disk: it outlives the parent, and parents of one file share it.

The file is the truth.  A change reads it, changes it and replaces it, under a lock; a look reads it again when it is
another one by now.  A disk that does not work costs the memory over restarts, and nothing else.
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

from kombu_green.launcher.blame import MARKS, Finding, Record, charged

__all__ = ["Ledger"]

log = logging.getLogger("kombu_green.launcher")

_KEPT: Final = 10_000  # records, the youngest
_AGE: Final = 7 * 86400.0  # seconds
_FORMAT: Final = 1


class Ledger:
    """The records by key, in ``blames.json`` of *folder*; without a folder they end with this object."""

    def __init__(self, folder: Path | None, *, kept: int = _KEPT, clock: Callable[[], float] = time.time) -> None:
        self._file: Final = None if folder is None else folder / "blames.json"
        self._kept: Final = kept
        self._clock: Final = clock
        self._records: dict[str, Record] = {}
        self._version: tuple[int, int] | None = None  # of the file that the records came from
        self._works = True

    def get(self, key: str) -> Record | None:
        self._refresh()
        return self._records.get(key)

    def counts(self) -> tuple[int, int]:
        """How many messages were blamed, and how many are suspects."""
        self._refresh()
        records = self._records.values()
        return sum(record.blames > 0 for record in records), sum(record.marks >= MARKS for record in records)

    def charge(self, found: Iterable[Finding]) -> None:
        """Add *found* to the records."""
        found, now = list(found), self._clock()

        def add(records: dict[str, Record]) -> None:
            for finding in found:
                records[finding.key] = charged(records.pop(finding.key, None), finding, now)

        if found:
            self._change(add)

    def forget(self, key: str) -> None:
        """The message was settled."""
        if self.get(key) is not None:
            self._change(lambda records: records.pop(key, None))

    def _change(self, change: Callable[[dict[str, Record]], object]) -> None:
        """Make *change* to the records as they are on disk, and write them."""
        with ExitStack() as stack:
            if self._file is not None:
                try:
                    lock = stack.enter_context(open(self._file.with_suffix(".lock"), "a"))
                    fcntl.flock(lock, fcntl.LOCK_EX)
                except OSError as error:
                    self._fails(f"{self._file} cannot be locked ({error})")
            self._refresh()
            change(self._records)
            self._trim()
            self._write()

    def _trim(self) -> None:
        """Leave out what is old, and the oldest beyond the bound; records are in the order of their last charge."""
        oldest = self._clock() - _AGE
        young = [(key, record) for key, record in self._records.items() if record.seen >= oldest]
        self._records = dict(young[-self._kept :])

    def _write(self) -> None:
        if self._file is None:
            return
        records = {
            key: {
                "blames": record.blames,
                "sure": record.sure,
                "marks": record.marks,
                "seen": record.seen,
                "words": list(record.words),
            }
            for key, record in self._records.items()
        }
        fresh = self._file.with_suffix(".new")
        try:
            with open(fresh, "w") as out:
                json.dump({"format": _FORMAT, "records": records}, out)
            os.replace(fresh, self._file)
            self._version = _version(self._file)
        except OSError as error:
            self._fails(f"{self._file} cannot be written ({error}): who is blamed is forgotten at the next start")

    def _refresh(self) -> None:
        """Read the file, if it is another one than at the last look."""
        if self._file is None:
            return
        try:
            version = _version(self._file)
            if version == self._version:
                return
            self._version = version  # one that cannot be read is not read again
            self._records = _read(self._file)
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            self._fails(f"{self._file} cannot be read ({error}): who was blamed before is forgotten")

    def _fails(self, message: str) -> None:
        if self._works:
            log.error("%s", message, extra={"event": "ledger"})
        self._works = False


def _version(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_ino, found.st_mtime_ns


def _read(file: Path) -> dict[str, Record]:
    said: Any = json.loads(file.read_text())
    if said["format"] != _FORMAT:
        raise ValueError(f"its format is {said['format']}, not {_FORMAT}")
    return {str(key): _record(one) for key, one in said["records"].items()}


def _record(said: Mapping[str, Any]) -> Record:
    return Record(
        blames=int(said["blames"]),
        marks=int(said["marks"]),
        seen=float(said["seen"]),
        words=tuple(map(str, said["words"])),
        sure=int(said.get("sure", 0)),
    )
