"""A peer that does nothing, and writes down that it was asked."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.round import Load, Measure, Sample, Span

NAME = "first"


def counts(load: Load, name: str = NAME) -> Sample:
    with open(load.url, "a") as journal:
        journal.write(f"{name} {os.getpid()} {len(os.listdir(load.folder))}\n")
    with Span() as span:
        sum(range(10_000))
    return span.sample(load.messages)


def breaks(load: Load) -> Sample:
    raise ValueError("it is broken")


def hangs(load: Load) -> Sample:
    Path(load.url).write_text(str(os.getpid()))
    time.sleep(60)
    return Sample(1, 1.0, 1.0)


MEASURES: dict[str, Measure] = {
    "trivial/counts": counts,
    "trivial/breaks": breaks,
    "trivial/hangs": hangs,
}
