"""The result of each file, and the table and summary of a run.  Nothing here connects to a broker."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text


class Tally:
    """The files of a run by message id, and the result or the dead letter of each.

    A message is handled at least once, so an id may return twice.  It counts once, and a result replaces a dead letter.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files = dict(files)
        self.results: dict[str, Mapping[str, Any]] = {}
        self.reasons: dict[str, str] = {}

    def processed(self, job: str, found: Mapping[str, Any]) -> None:
        if job in self.files:
            self.results[job] = found
            self.reasons.pop(job, None)

    def dead_lettered(self, job: str, reason: str) -> None:
        if job in self.files and job not in self.results:
            self.reasons[job] = reason

    @property
    def settled(self) -> int:
        return len(self.results) + len(self.reasons)

    @property
    def lost(self) -> int:
        return len(self.files) - self.settled

    def __str__(self) -> str:
        return f"processed={len(self.results)} dead_lettered={len(self.reasons)} lost={self.lost}"


def table(tally: Tally, state: Path) -> Table:
    """A row for each file; paths of thumbnails are relative to the folder *state*."""
    shown = Table("file", "kind", "size", "thumbnail or reason")
    for job, path in tally.files.items():
        if job in tally.results:
            found = tally.results[job]
            row = [str(found["type"]), size(found), os.path.relpath(found["thumbnail"], state)]
        elif job in tally.reasons:
            row = ["unreadable", "", tally.reasons[job]]
        else:
            row = ["lost", "", "nothing came back"]
        shown.add_row(*(Text(printable(cell), overflow="fold") for cell in [path.name, *row]))
    return shown


def size(found: Mapping[str, Any]) -> str:
    """``960 x 640``, and for a video ``320 x 240, 3.0 s``."""
    seconds = found.get("seconds")
    return f"{found['width']} x {found['height']}" + (f", {seconds:.1f} s" if seconds is not None else "")


def printable(text: str) -> str:
    """*text* on one line, with control characters escaped: a file name may contain any character."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
