"""Another peer that does nothing."""

from __future__ import annotations

from functools import partial

from benchmarks.round import Measure
from tests.unit.benchmarks import first

MEASURES: dict[str, Measure] = first.MEASURES | {"trivial/counts": partial(first.counts, name="second")}
