"""When a process is recycled, and how its memory is read."""

from __future__ import annotations

import os

import pytest

from kombu_green.config.settings import WorkerSettings
from kombu_green.control.messages import Heartbeat
from kombu_green.launcher.recycling import Limits, resident, share

MB = 1 << 20


@pytest.mark.parametrize(
    ("limits", "counters", "memory", "age", "share", "why"),
    [
        (Limits(), Heartbeat(handled=10**9), 10**12, 10**6, 1.0, None),
        (Limits(messages=100), Heartbeat(handled=99), None, 5, 1.0, None),
        (Limits(messages=100), Heartbeat(handled=100), None, 5, 1.0, "100 messages (max_messages = 100)"),
        (Limits(messages=100), Heartbeat(handled=95), None, 5, 0.95, "95 messages (max_messages = 100)"),
        (Limits(messages=100), Heartbeat(7, 50, 30, 20), None, 5, 1.0, "100 messages"),
        (Limits(memory=200 * MB), Heartbeat(), 200 * MB, 99, 1.0, None),
        (Limits(memory=200 * MB), Heartbeat(), 201 * MB, 99, 1.0, "201 MB of memory (soft_memory = 200 MB)"),
        (Limits(memory=200 * MB), Heartbeat(), 201 * MB, 9.9, 1.0, None),  # large from the start
        (Limits(memory=200 * MB, settled=0), Heartbeat(), 201 * MB, 0.1, 1.0, "201 MB"),
        (Limits(memory=200 * MB), Heartbeat(), None, 99, 1.0, None),  # nobody knows
    ],
)
def test_limits(
    limits: Limits, counters: Heartbeat, memory: int | None, age: float, share: float, why: str | None
) -> None:
    said = limits.passed(counters, memory, age, share)
    assert said is None if why is None else said is not None and why in said


def test_the_limits_of_settings() -> None:
    assert Limits.of(WorkerSettings()) == Limits()
    assert Limits.of(WorkerSettings(max_messages=5, soft_memory=6)) == Limits(messages=5, memory=6)


def test_processes_that_start_together_do_not_end_together() -> None:
    shares = {share() for _ in range(100)}
    assert len(shares) > 90
    assert all(0.9 <= one <= 1.0 for one in shares)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system has no /proc/PID/statm")
def test_the_memory_of_a_process() -> None:
    before = resident(os.getpid())
    ballast = b"x" * 64 * MB
    after = resident(os.getpid())
    assert before is not None
    assert after is not None
    assert after - before > 48 * MB
    assert len(ballast) == 64 * MB
    assert resident(2**31 - 1) is None
