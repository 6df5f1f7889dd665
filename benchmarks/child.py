"""Runs one round in a peer's interpreter, and prints one line of JSON: the sample, and the versions in use.

``python -m benchmarks.child PEER-MODULE LOAD-AS-JSON [--patched] [--versions NAME,…] [--profile FILE]``
"""

from __future__ import annotations

import argparse
import cProfile
import importlib
import json
import platform
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version

from benchmarks.round import Load, Measure, Sample


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.child")
    parser.add_argument("module")
    parser.add_argument("load")
    parser.add_argument("--patched", action="store_true")
    parser.add_argument("--versions", default="")
    parser.add_argument("--profile", default="")
    options = parser.parse_args(arguments)
    if options.patched:  # before the peer's module, and with it its drivers, are imported
        importlib.import_module("gevent.monkey").patch_all()
    load = Load(**json.loads(options.load))
    sample = measured(measure_of(options.module, load), load, options.profile)
    sys.stdout.write(json.dumps(asdict(sample) | {"versions": versions(options.versions)}) + "\n")
    return 0


def measure_of(module: str, load: Load) -> Measure:
    """A peer's module says in ``MEASURES`` what it can do, by ``workload`` or ``workload/case``."""
    measures: dict[str, Measure] = importlib.import_module(module).MEASURES
    return measures[f"{load.workload}/{load.case}" if load.case else load.workload]


def measured(measure: Measure, load: Load, profile: str) -> Sample:
    if not profile:
        return measure(load)
    profiler = cProfile.Profile()
    try:
        return profiler.runcall(measure, load)
    finally:
        profiler.dump_stats(profile)


def versions(names: str) -> dict[str, str]:
    found = {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
    return found | {name: version(name) for name in names.split(",") if name}


if __name__ == "__main__":
    sys.exit(main())
