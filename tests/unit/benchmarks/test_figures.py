"""From samples to medians, ratios and lines of JSON."""

from __future__ import annotations

import json

import pytest

from benchmarks import report
from benchmarks.contract import Case, Workload
from benchmarks.figures import Figures, Outcome, figures
from benchmarks.round import Sample

CASE = Case("nothing", ("kombu_green", "kombu"), 100)


def rounds(*walls: float) -> list[Outcome]:
    """Of 100 messages each; a wall clock of 0 stands for a failure."""
    return [
        Outcome(Sample(100, wall, 0.002 * wall, {"rss_mib": wall}), versions={"kombu": "5"})
        if wall
        else Outcome(None, "lost")
        for wall in walls
    ]


def lines(**outcomes: list[Outcome]) -> dict[str, Figures]:
    return {line.peer: line for line in figures("w", "c", outcomes)}


def test_medians_and_spread() -> None:
    line = lines(kombu_green=rounds(1.0, 4.0, 2.0))["kombu_green"]
    assert line.rate is not None
    assert (line.rate.median, line.rate.low, line.rate.high) == (50, 25, 100)
    assert line.cpu_us is not None
    assert line.cpu_us.median == pytest.approx(40)
    assert line.extra["rss_mib"].median == 2
    assert line.ratio == 1


def test_a_ratio_compares_rounds_that_ran_side_by_side() -> None:
    # The machine was ten times slower in the second round: the ratio was 2 in each all the same.
    found = lines(kombu_green=rounds(1.0, 10.0, 1.1), kombu=rounds(2.0, 20.0, 2.2))
    assert found["kombu"].ratio == pytest.approx(2)


def test_failures_are_left_out_and_told() -> None:
    found = lines(kombu_green=rounds(1.0, 0, 1.0), kombu=rounds(0, 3.0, 2.0))
    assert (found["kombu"].rounds, found["kombu"].failure) == (2, "lost")
    assert found["kombu"].ratio == 2  # of the one round in which both gave a sample
    assert lines(kombu=rounds(0, 0))["kombu"].rate is None


def test_json_has_the_documented_fields() -> None:
    found = lines(kombu_green=rounds(1.0), kombu=rounds(0))
    ours, peer = (json.loads(report.as_json(line, "a machine")) for line in found.values())
    assert (ours["workload"], ours["peer"], ours["rate"], ours["rounds"]) == ("w", "kombu_green", 100.0, 1)
    assert ours["cpu_us"] == 20.0
    assert (ours["rate_min"], ours["rate_max"], ours["rss_mib"], ours["machine"]) == (100.0, 100.0, 1.0, "a machine")
    assert (peer["rate"], peer["cpu_us"], peer["rounds"], peer["failure"]) == (None, None, 0, "lost")
    for line in (ours, peer):
        assert list(line)[:2] == ["workload", "peer"]
        assert {"rate", "cpu_us", "rounds", "case"} <= set(line)


def test_the_table_has_ratios_and_microseconds() -> None:
    found = list(lines(kombu_green=rounds(1.0), kombu=rounds(2.0)).values())
    title, head, ours, peer = report.table(Workload("w", (CASE,)), CASE, found).splitlines()
    assert title == "w: nothing (100 messages at most, 1 round)"
    assert head.split()[-2:] == ["is", "rss_mib"]
    assert ours.split() == ["kombu_green", "100", "100", "..", "100", "20", "20", "..", "20", "-", "1"]
    assert peer.split()[-3:] == ["2.00", "x", "2"]
    assert len({len(line) for line in (head, ours, peer)}) == 1


def test_the_table_tells_failures() -> None:
    found = list(lines(kombu_green=rounds(1.0), kombu=rounds(0)).values())
    assert report.table(Workload("w", (CASE,)), CASE, found).endswith("\n  kombu: lost")
