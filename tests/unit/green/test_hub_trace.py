"""The number of the slot that runs is in the shared words after each switch of greenlets."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import gevent
import greenlet
import pytest
from gevent.event import Event

from kombu_green.clock import Deadline
from kombu_green.green.hub_trace import HubTrace

IDLE, UNOWNED = 0, 99
T = TypeVar("T")


@dataclass
class Slot:
    number: int
    turn: int = 0


@pytest.fixture
def words() -> memoryview[int]:
    return memoryview(bytearray(16)).cast("Q")


@pytest.fixture
def trace(words: memoryview[int]) -> Iterator[HubTrace]:
    made = HubTrace(words, idle=IDLE, unowned=UNOWNED)
    made.start()
    yield made
    made.stop(Deadline.after(0))
    assert greenlet.gettrace() is None


def test_an_assigned_greenlet_has_its_number_and_others_have_none(trace: HubTrace, words: memoryview[int]) -> None:
    seen: dict[str, list[int]] = {"one": [], "two": [], "stranger": []}

    def work(name: str, number: int | None) -> None:
        if number is not None:
            trace.assign(Slot(number))
        for _ in range(3):
            seen[name].append(words[0])
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(work, "one", 1), gevent.spawn(work, "two", 2), gevent.spawn(work, "stranger", None)])
    assert seen == {"one": [1] * 3, "two": [2] * 3, "stranger": [UNOWNED] * 3}


def test_the_hub_itself_is_idle(trace: HubTrace, words: memoryview[int]) -> None:
    seen: list[int] = []
    timer = gevent.get_hub().loop.timer(0)
    timer.start(lambda: seen.append(words[0]))  # called by the hub
    gevent.sleep(0.01)
    assert seen == [IDLE]


def test_every_switch_is_written(trace: HubTrace, words: memoryview[int]) -> None:
    words[1] = 0
    gevent.sleep(0)
    assert words[1] == 1


def in_slot(trace: HubTrace, number: int, work: Callable[[Slot], T]) -> T:
    def run() -> T:
        slot = Slot(number)
        trace.assign(slot)
        return work(slot)

    result: T = gevent.spawn(run).get()
    return result


def test_a_greenlet_spawned_in_a_slot_belongs_to_it_for_this_turn(trace: HubTrace, words: memoryview[int]) -> None:
    seen: list[int] = []

    def look() -> None:
        seen.append(words[0])
        gevent.sleep(0)
        seen.append(words[0])

    def work(slot: Slot) -> None:
        child = gevent.spawn(lambda: gevent.spawn(look).get())
        gevent.sleep(0)
        gevent.sleep(0)
        slot.turn += 1
        child.get()

    in_slot(trace, 5, work)
    assert seen == [5, UNOWNED]


def test_a_greenlet_of_an_earlier_trace_is_unowned_in_a_later_one(words: memoryview[int]) -> None:
    seen: list[int] = []
    go_on = Event()

    def look() -> None:
        seen.append(words[0])
        go_on.wait()
        seen.append(words[0])

    def work(slot: Slot) -> gevent.Greenlet[[], None]:
        child = gevent.spawn(look)
        gevent.sleep(0)
        return child

    trace = HubTrace(words, idle=IDLE, unowned=UNOWNED)
    trace.start()
    child = in_slot(trace, 5, work)
    trace.stop(Deadline.after(0))
    trace.start()
    go_on.set()
    child.get()
    trace.stop(Deadline.after(0))
    assert seen == [5, UNOWNED]


def test_an_earlier_trace_function_is_still_called(words: memoryview[int]) -> None:
    told: list[str] = []

    def before(event: str, switch: object) -> None:
        told.append(event)

    greenlet.settrace(before)
    trace = HubTrace(words, idle=IDLE, unowned=UNOWNED)
    try:
        trace.start()
        gevent.sleep(0)
        assert (set(told), words[1]) == ({"switch"}, 1)
        trace.stop(Deadline.after(0))
        assert greenlet.gettrace() is before
    finally:
        greenlet.settrace(None)


def test_switches_in_the_child_of_a_fork_are_not_written() -> None:
    shared = memoryview(mmap.mmap(-1, 16)).cast("Q")
    trace = HubTrace(shared, idle=IDLE, unowned=UNOWNED)
    trace.start()
    try:
        shared[1] = 0
        pid = os.fork()
        if not pid:
            greenlet.greenlet(lambda: None).switch()
            os._exit(0)
        os.waitpid(pid, 0)
        assert shared[1] == 0
        gevent.sleep(0)
        assert shared[1] == 1
    finally:
        trace.stop(Deadline.after(0))
