"""The callback of the workloads that run a whole worker: it leaves a mark, and that is all."""

from __future__ import annotations

from typing import Any

from benchmarks.applications.marks import Marks

MARKS = Marks.from_environment()


def handle(body: Any, message: Any) -> None:
    MARKS.mark()
