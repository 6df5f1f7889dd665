"""When a process is replaced or ended for its limits, and what the kernel says of memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kombu_green.config.settings import WorkerSettings
from kombu_green.ipc.messages import Heartbeat
from kombu_green.ipc.recorder import IDLE, Row, RowState
from kombu_green.launcher.death_rules import DeathKind
from kombu_green.launcher.limits import (
    OOM_WINDOW,
    OomKills,
    SoftLimits,
    message_share,
    next_check,
    over_memory_limit,
    over_time_limit,
    resident_memory,
)

MB = 1 << 20


@pytest.mark.parametrize(
    ("limits", "counters", "share", "why"),
    [
        (SoftLimits(), Heartbeat(handled=10**9), 1.0, None),
        (SoftLimits(messages=100), Heartbeat(handled=99), 1.0, None),
        (SoftLimits(messages=100), Heartbeat(handled=100), 1.0, "100 messages (max_messages = 100)"),
        (SoftLimits(messages=100), Heartbeat(handled=95), 0.95, "95 messages (max_messages = 100)"),
        (SoftLimits(messages=100), Heartbeat(7, 50, 30, 20), 1.0, "100 messages"),
    ],
)
def test_messages(limits: SoftLimits, counters: Heartbeat, share: float, why: str | None) -> None:
    said = limits.messages_exceeded(counters, share)
    assert said is None if why is None else said is not None and why in said


@pytest.mark.parametrize(
    ("limits", "memory", "age", "why"),
    [
        (SoftLimits(), 10**12, 10**6, None),
        (SoftLimits(memory=200 * MB), 200 * MB, 99, None),
        (SoftLimits(memory=200 * MB), 201 * MB, 99, "201 MB of memory (soft_memory = 200 MB)"),
        (SoftLimits(memory=200 * MB), 201 * MB, 59.9, None),
        (SoftLimits(memory=200 * MB, min_age=0), 201 * MB, 0.1, "201 MB"),
    ],
)
def test_memory(limits: SoftLimits, memory: int, age: float, why: str | None) -> None:
    said = limits.memory_exceeded(memory, age)
    assert said is None if why is None else said is not None and why in said


@pytest.mark.parametrize(
    ("limits", "memory", "age", "warned"),
    [
        (SoftLimits(memory=200 * MB), 300 * MB, 9.9, False),
        (SoftLimits(memory=200 * MB), 300 * MB, 10.0, True),
        (SoftLimits(memory=200 * MB), 300 * MB, 59.9, True),
        (SoftLimits(memory=200 * MB), 200 * MB, 30.0, False),
        (SoftLimits(memory=200 * MB), 300 * MB, 60.0, False),
        (SoftLimits(), 10**12, 30.0, False),
    ],
)
def test_a_memory_limit_that_a_process_passes_soon_after_its_start_is_worth_a_warning(
    limits: SoftLimits, memory: int, age: float, warned: bool
) -> None:
    text = limits.too_low(memory, age)
    assert (text is not None) is warned
    if text is not None:
        assert "it has 300 MB of memory (soft_memory = 200 MB)" in text
        assert "60 s after its start at the earliest" in text


def test_a_process_that_needs_more_than_its_limit_lives_for_the_minimum_age() -> None:
    limits = SoftLimits(memory=200 * MB)
    assert next(age for age in range(1000) if limits.memory_exceeded(300 * MB, age)) == 60


def test_the_limits_of_settings() -> None:
    assert SoftLimits.from_settings(WorkerSettings()) == SoftLimits()
    assert SoftLimits.from_settings(WorkerSettings(max_messages=5, soft_memory=6)) == SoftLimits(messages=5, memory=6)


def test_processes_that_start_together_do_not_end_together() -> None:
    shares = {message_share() for _ in range(100)}
    assert len(shares) > 90
    assert all(0.9 <= one <= 1.0 for one in shares)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system has no /proc/PID/statm")
def test_the_memory_of_a_process() -> None:
    before = resident_memory(os.getpid())
    ballast = b"x" * 64 * MB
    after = resident_memory(os.getpid())
    assert before is not None
    assert after is not None
    assert after - before > 48 * MB
    assert len(ballast) == 64 * MB
    assert resident_memory(2**31 - 1) is None


def row(since: float, limit: float, *, number: int = 1, state: RowState = RowState.RUNNING) -> Row:
    return Row(number, "jobs", "app:handle", b"k" * 16, "m", since, limit, state)


@pytest.mark.parametrize(
    ("row", "hub", "last_heartbeat", "passed"),
    [
        (row(100, 0), 1, 109, False),
        (row(100, 20), 1, 109, False),
        (row(100, 5), 1, None, True),  # it has the hub itself
        (row(100, 5), IDLE, 106, True),  # the hub turned after its limit, and left it waiting
        (row(100, 5), IDLE, 104, False),  # ... before: it may be about to end
        (row(100, 5), 2, 104, False),  # another one keeps the hub
        (row(100, 5, state=RowState.OFFLOADED), 2, 104, True),
    ],
)
def test_which_message_over_its_hard_time_limit_ends_its_process(
    row: Row, hub: int, last_heartbeat: float | None, passed: bool
) -> None:
    termination = over_time_limit([row], hub, last_heartbeat, 110.0)
    if not passed:
        assert termination is None
        return
    assert termination is not None
    assert (termination.kind, termination.over_limit) == (DeathKind.OVER_TIME_LIMIT, frozenset({(1, 100.0)}))
    assert termination.text == "message m of queue jobs in app:handle runs longer than its hard time limit of 5 s"


def test_a_process_over_hard_memory_is_ended() -> None:
    assert over_memory_limit(None, 1 << 20) is None
    assert over_memory_limit(1 << 30, 0) is None
    assert over_memory_limit(1 << 20, 1 << 20) is None
    termination = over_memory_limit(3 << 20, 2 << 20)
    assert termination is not None
    assert (termination.kind, termination.text) == (
        DeathKind.OVER_MEMORY_LIMIT,
        "has 3 MB of memory (hard_memory = 2 MB)",
    )


def test_when_to_check_the_hard_limits_again() -> None:
    assert next_check([], 0, 100.0) == 101.0
    assert next_check([], 1, 100.0) == 100.1
    assert next_check([row(98, 2.5), row(98, 2.7), row(90, 1), row(90, 0)], 0, 100.0) == 100.5


VMSTAT = "nr_free_pages 5\noom_kill {}\nnot_oom_kill 99\n"


class Machine:
    """A count of OOM kills, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.file = folder / "vmstat"
        self.set_count(3)
        self.oom_kills = OomKills(self.file, clock=lambda: self.now)

    def set_count(self, processes: int) -> None:
        self.file.write_text(VMSTAT.format(processes))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_oom_kills_before_the_start_are_not_recent(machine: Machine) -> None:
    assert machine.oom_kills.recent() is False


def test_an_oom_kill_is_recent_for_ten_seconds(machine: Machine) -> None:
    machine.set_count(4)
    assert machine.oom_kills.recent() is True
    machine.now += OOM_WINDOW - 0.1
    assert machine.oom_kills.recent() is True
    machine.now += 0.2
    assert machine.oom_kills.recent() is False


def test_an_oom_kill_is_dated_by_the_poll_that_saw_it(machine: Machine) -> None:
    machine.now += 3600
    machine.oom_kills.poll()
    machine.set_count(4)
    machine.now += 1
    machine.oom_kills.poll()
    machine.now += OOM_WINDOW - 1
    assert machine.oom_kills.recent() is True, "a large process takes its time to end"
    machine.now += 1
    assert machine.oom_kills.recent() is False


def test_the_count_is_read_once_a_second(machine: Machine) -> None:
    machine.file.unlink()
    machine.now += 0.5
    machine.oom_kills.poll()
    machine.set_count(4)
    assert machine.oom_kills.recent() is True, "it had not looked while the file was gone"


@pytest.mark.parametrize("text", ["", "oom_kill\n", "oom_kill many\n", None])
def test_without_a_count_it_is_unknown(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "vmstat"
    if text is not None:
        file.write_text(text)
    oom_kills = OomKills(file)
    assert oom_kills.recent() is None
    file.write_text(VMSTAT.format(7))
    assert oom_kills.recent() is False, "all of them may be old"


def test_linux_counts_oom_kills() -> None:
    if not Path("/proc/vmstat").exists():
        pytest.skip("not on Linux")
    assert OomKills().recent() is not None
