"""Figures as a table for people and as lines of JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from benchmarks.contract import Case, Workload
from benchmarks.figures import OURS, Figures, Spread

__all__ = ["as_json", "table", "versions"]

_HEAD = ("peer", "rate/s", "least .. most", "us/message", "least .. most", "ours is")


def as_json(figures: Figures, machine: str) -> str:
    return json.dumps(figures.as_json() | {"machine": machine})


def table(workload: Workload, case: Case, figures: Sequence[Figures]) -> str:
    """A title, a line for each peer, and beneath what failed."""
    rounds = max((line.rounds for line in figures), default=0)
    title = f"{workload.name} {case.name}".rstrip()
    title = f"{title}: {case.what} ({_plural(case.messages, 'message')} at most, {_plural(rounds, 'round')})"
    names = list(dict.fromkeys(name for line in figures for name in line.extra))
    rows = [[*_HEAD, *names], *(_row(line, names) for line in figures)]
    failures = [f"  {line.peer}: {line.failure}" for line in figures if line.failure]
    return "\n".join([title, *_aligned(rows), *failures])


def versions(figures: Sequence[Figures]) -> list[str]:
    return [
        f"{line.peer}: {', '.join(f'{name} {version}' for name, version in line.versions.items())}"
        for line in figures
        if line.versions
    ]


def _row(line: Figures, names: Sequence[str]) -> list[str]:
    extra = [_number(line.extra[name].median) if name in line.extra else "-" for name in names]
    ratio = "-" if line.ratio is None or line.peer == OURS else f"{line.ratio:.2f} x"
    return [line.peer, *_cells(line.rate), *_cells(line.cpu_us), ratio, *extra]


def _cells(spread: Spread | None) -> list[str]:
    if spread is None:
        return ["failed", "-"]
    return [_number(spread.median), f"{_number(spread.low)} .. {_number(spread.high)}"]


def _number(value: float) -> str:
    """Three digits that count; more would be noise."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  " + "  ".join([row[0].ljust(widths[0]), *cells])
