from __future__ import annotations

from typing import Any

import pytest

from kombu_green.transport.virtual.death_headers import EXPIRED, REJECTED, cycles, with_death


def died(headers: dict[str, Any], queue: str = "q", reason: str = REJECTED, now: int = 1) -> dict[str, Any]:
    return with_death(headers, reason=reason, queue=queue, exchange="x", routing_key="k", now=now)


def test_the_first_death_is_kept_in_headers_of_its_own() -> None:
    headers = died(died({"mine": 1}, "one", REJECTED), "two", EXPIRED)
    assert headers["mine"] == 1
    assert headers["x-first-death-queue"] == "one"
    assert headers["x-first-death-reason"] == REJECTED
    assert headers["x-first-death-exchange"] == "x"


def test_the_latest_comes_first_and_the_same_is_counted() -> None:
    headers = died(died(died({}, "one", now=1), "two", now=2), "one", now=3)
    assert [(entry["queue"], entry["count"], entry["time"]) for entry in headers["x-death"]] == [
        ("one", 2, 3),
        ("two", 1, 2),
    ]


def test_the_callers_headers_are_left_alone() -> None:
    headers: dict[str, Any] = {}
    died(headers)
    assert headers == {}


@pytest.mark.parametrize("rubbish", ["text", 7, None, ["text", 3], [{"count": "?", "queue": "q", "reason": REJECTED}]])
def test_a_malformed_x_death_header_counts_as_none(rubbish: Any) -> None:
    headers = died({"x-death": rubbish})
    assert headers["x-death"][0]["count"] == 1
    assert not cycles({"x-death": rubbish}, "other")


def test_a_way_back_without_a_reject_is_a_cycle() -> None:
    assert cycles(died({}, "q", EXPIRED), "q")
    assert not cycles(died({}, "q", EXPIRED), "elsewhere")
    assert not cycles(died(died({}, "q", EXPIRED), "other", REJECTED), "q")
