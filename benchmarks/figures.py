"""From samples to figures: medians, their spread, and how ours stands to each.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.round import Sample

__all__ = ["OURS", "Figures", "Outcome", "Spread", "figures"]

OURS = "kombu_green"


@dataclass(frozen=True)
class Outcome:
    """How one round of one peer ended: with a sample, or with what went wrong."""

    sample: Sample | None
    failure: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Spread:
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True)
class Figures:
    """One peer in one case.  *ratio*: how many times its rate ours is, the median over rounds side by side."""

    workload: str
    case: str
    peer: str
    rounds: int  # that gave a sample
    messages: int = 0
    rate: Spread | None = None  # messages a second
    cpu_us: Spread | None = None  # microseconds of CPU a message
    ratio: float | None = None
    extra: Mapping[str, Spread] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    failure: str = ""  # the last one

    def as_json(self) -> dict[str, Any]:
        """The documented fields first; what could not be measured is null."""
        found: dict[str, Any] = {"workload": self.workload, "peer": self.peer}
        found |= _spread("rate", self.rate) | _spread("cpu_us", self.cpu_us)
        found |= {"rounds": self.rounds, "case": self.case, "messages": self.messages, "ours_ratio": self.ratio}
        for name, spread in self.extra.items():
            found |= _spread(name, spread)
        return found | {"versions": dict(self.versions), "failure": self.failure or None}


def figures(workload: str, case: str, outcomes: Mapping[str, Sequence[Outcome]]) -> list[Figures]:
    """One for each peer, in the order given; *outcomes* are in the order of rounds."""
    ours = outcomes.get(OURS, ())
    return [_one(workload, case, peer, rounds, ours) for peer, rounds in outcomes.items()]


def _one(workload: str, case: str, peer: str, rounds: Sequence[Outcome], ours: Sequence[Outcome]) -> Figures:
    samples = [outcome.sample for outcome in rounds if outcome.sample is not None]
    failure = next((outcome.failure for outcome in reversed(rounds) if outcome.failure), "")
    if not samples:
        return Figures(workload, case, peer, 0, failure=failure)
    pairs = [(one.sample, other.sample) for one, other in zip(ours, rounds, strict=False)]
    ratios = [_rate(one) / _rate(other) for one, other in pairs if one is not None and other is not None]
    return Figures(
        workload,
        case,
        peer,
        len(samples),
        messages=min(sample.messages for sample in samples),
        rate=Spread.of([_rate(sample) for sample in samples]),
        cpu_us=Spread.of([sample.cpu / sample.messages * 1e6 for sample in samples]),
        ratio=median(ratios) if ratios else None,
        extra={name: Spread.of([sample.extra[name] for sample in samples]) for name in samples[0].extra},
        versions=next(outcome.versions for outcome in rounds if outcome.sample is not None),
        failure=failure,
    )


def _rate(sample: Sample) -> float:
    return sample.messages / sample.wall


def _spread(name: str, spread: Spread | None) -> dict[str, float | None]:
    if spread is None:
        return {name: None}
    return {
        name: _rounded(spread.median),
        f"{name}_min": _rounded(spread.low),
        f"{name}_max": _rounded(spread.high),
    }


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
