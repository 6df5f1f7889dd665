"""When a process is recycled, and how its memory is read."""

from __future__ import annotations

import os

import pytest

from kombu_green.config.settings import WorkerSettings
from kombu_green.ipc.messages import Heartbeat
from kombu_green.launcher.recycling import Limits, Need, resident, share

MB = 1 << 20


@pytest.mark.parametrize(
    ("limits", "counters", "share", "why"),
    [
        (Limits(), Heartbeat(handled=10**9), 1.0, None),
        (Limits(messages=100), Heartbeat(handled=99), 1.0, None),
        (Limits(messages=100), Heartbeat(handled=100), 1.0, "100 messages (max_messages = 100)"),
        (Limits(messages=100), Heartbeat(handled=95), 0.95, "95 messages (max_messages = 100)"),
        (Limits(messages=100), Heartbeat(7, 50, 30, 20), 1.0, "100 messages"),
    ],
)
def test_messages(limits: Limits, counters: Heartbeat, share: float, why: str | None) -> None:
    said = limits.worn(counters, share)
    assert said is None if why is None else said is not None and why in said


@pytest.mark.parametrize(
    ("limits", "memory", "age", "why"),
    [
        (Limits(), 10**12, 10**6, None),
        (Limits(memory=200 * MB), 200 * MB, 99, None),
        (Limits(memory=200 * MB), 201 * MB, 99, "201 MB of memory (soft_memory = 200 MB)"),
        (Limits(memory=200 * MB), 201 * MB, 9.9, None),
        (Limits(memory=200 * MB, settled=0), 201 * MB, 0.1, "201 MB"),
    ],
)
def test_memory(limits: Limits, memory: int, age: float, why: str | None) -> None:
    said = limits.swollen(memory, age, Need(limits.settled))
    assert said is None if why is None else said is not None and why in said


def replaced_at(need: Need, memory: int, rounds: int) -> list[float]:
    """The ages at which processes that have *memory* from their start on are replaced, one after another."""
    limits, ages = Limits(memory=200 * MB), []
    for _ in range(rounds):
        age = next(age for age in range(4000) if limits.swollen(memory, age, need))
        need.learn(memory, age)
        ages.append(float(age))
    return ages


def test_one_that_needs_more_is_replaced_ever_more_rarely() -> None:
    assert replaced_at(Need(10), 300 * MB, 11) == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]


def test_one_that_grows_is_replaced_all_the_same() -> None:
    limits, need = Limits(memory=200 * MB), Need(10)
    replaced_at(need, 220 * MB, 5)
    assert limits.swollen(330 * MB, 11, need) is None
    assert limits.swollen(331 * MB, 11, need)
    assert not need.learn(331 * MB, 11)
    assert limits.swollen(331 * MB, 11, need), "what a leak grows to is not what is needed"


def test_one_that_grew_with_time_tells_nothing_of_the_next() -> None:
    need = Need(10)
    assert not need.learn(300 * MB, 20)
    assert (need.patience, need.memory) == (10, 0)


def test_a_limit_that_is_too_low_is_said_once() -> None:
    limits, need = Limits(memory=200 * MB), Need(10)
    assert need.learn(300 * MB, 10.4)
    assert not need.learn(310 * MB, 20.4)
    assert "300 MB of memory (soft_memory = 200 MB)" in limits.too_low(300 * MB, 10.4, need)
    assert "beyond 450 MB" in limits.too_low(300 * MB, 10.4, need)


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
