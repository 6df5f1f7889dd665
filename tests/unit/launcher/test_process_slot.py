"""When a process slot starts its next child; no process is started."""

from __future__ import annotations

import selectors
import time

import pytest

from kombu_green.launcher.plan import Plan
from kombu_green.launcher.process_slot import ProcessSlot
from kombu_green.retry import Backoff

BACKOFF = Backoff(first=1.0, ceiling=30.0)


def wait(slot: ProcessSlot) -> float:
    """Seconds until the next child is started."""
    assert slot.start_at is not None
    return slot.start_at - time.monotonic()


def test_a_new_slot_starts_at_once_and_a_vacant_one_does_not() -> None:
    assert wait(ProcessSlot(1, BACKOFF)) <= 0
    assert list(ProcessSlot(1, BACKOFF, vacant=True).due_times()) == []


def test_the_wait_grows_with_failures_in_a_row() -> None:
    slot, waits = ProcessSlot(1, BACKOFF), []
    for _ in range(4):
        slot.restart_later("it died")
        waits.append(wait(slot))
    assert waits == sorted(waits)
    assert waits[0] > 0.4
    assert (slot.restarts, slot.last_end) == (4, "it died")


@pytest.mark.parametrize("overdrawn", [0, 1, 5])
def test_after_a_death_that_is_blamed_on_messages_the_wait_depends_on_the_restart_budget(overdrawn: int) -> None:
    slot = ProcessSlot(1, BACKOFF)
    slot.restart_later("it died", overdrawn=overdrawn)
    assert (wait(slot) <= 0) is (overdrawn == 0)


def test_a_child_that_cannot_boot_is_followed_after_the_longest_wait() -> None:
    slot = ProcessSlot(1, BACKOFF)
    slot.restart_later("it cannot boot", cannot_boot=True)
    assert wait(slot) > 14


def test_a_program_that_cannot_be_started_counts_as_a_failure() -> None:
    slot = ProcessSlot(1, BACKOFF)
    with selectors.DefaultSelector() as selector:
        slot.start_if_due(Plan(command=["/nowhere/at/all"]), 0, selector)
    assert slot.child is None
    assert slot.last_end is not None
    assert "could not be started" in slot.last_end
    assert wait(slot) > 0


def test_a_retired_slot_starts_nothing() -> None:
    slot = ProcessSlot(1, BACKOFF)
    slot.retire()
    assert slot.retired
    assert slot.start_at is None
