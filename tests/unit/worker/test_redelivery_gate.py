"""Slots that wait for the parent's word."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from kombu_green.ipc.messages import Answer, Ask, Settled
from kombu_green.message import Content, Message
from kombu_green.worker.redelivery_gate import GateClosed, RedeliveryGate, deliveries_before

KEY = bytes(16)


def guarded() -> tuple[RedeliveryGate, list[Ask | Settled]]:
    gate, said = RedeliveryGate(), list[Ask | Settled]()
    gate.guard(said.append)
    return gate, said


def test_each_slot_gets_its_own_answer() -> None:
    gate, said = guarded()
    one, two = gevent.spawn(gate.ask, 1, KEY, "q"), gevent.spawn(gate.ask, 2, KEY, "q")
    gevent.sleep(0)
    assert said == [Ask(1, KEY.hex(), "q"), Ask(2, KEY.hex(), "q")]
    gate.answered(Answer(2, "it kills"))
    assert two.get(timeout=5) == "it kills"
    assert not one.ready()
    gate.answered(Answer(1))
    assert one.get(timeout=5) == ""


def test_how_often_it_was_taken_is_told() -> None:
    gate, said = guarded()
    gevent.spawn(gate.ask, 1, KEY, "q", 7)
    gevent.sleep(0)
    assert said == [Ask(1, KEY.hex(), "q", 7)]


@pytest.mark.parametrize(
    ("info", "headers", "expected"),
    [
        ({"takes": 1}, {}, 0),
        ({"takes": 7}, {"x-delivery-count": 99}, 6),
        ({}, {"x-delivery-count": 7}, 7),
        ({}, {}, 0),
        *(({}, {"x-delivery-count": forged}, 0) for forged in (-1, "7", True, 1.5, None, [7])),
    ],
)
def test_how_often_it_was_taken_before(info: dict[str, Any], headers: dict[str, Any], expected: int) -> None:
    assert deliveries_before(Message(Content(b"", headers=headers), delivery_info=info)) == expected


def test_an_answer_for_nobody_is_nothing() -> None:
    gate, _ = guarded()
    gate.answered(Answer(3))


def test_when_it_closes_nobody_starts() -> None:
    gate, _ = guarded()
    waiting = gevent.spawn(gate.ask, 1, KEY, "q")
    gevent.sleep(0)
    gate.close()
    with pytest.raises(GateClosed):
        waiting.get(timeout=5)
    with pytest.raises(GateClosed):
        gate.ask(1, KEY, "q")


def test_without_a_guard_nobody_asks() -> None:
    gate = RedeliveryGate()
    assert not gate.guarded
    gate.settled(1, KEY)


def test_what_is_over_is_told_and_whether_it_had_begun() -> None:
    gate, said = guarded()
    gate.settled(1, KEY)
    gate.settled(2, KEY, back=True)
    assert said == [Settled(1, KEY.hex()), Settled(2, KEY.hex(), back=True)]
