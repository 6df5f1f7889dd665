"""Slots that wait for the parent's word."""

from __future__ import annotations

import gevent
import pytest

from kombu_green.ipc.messages import AdmissionClosed, AdmissionReply, AdmissionRequest
from kombu_green.worker.redelivery_gate import GateClosed, RedeliveryGate

KEY = bytes(16)


def guarded() -> tuple[RedeliveryGate, list[AdmissionRequest | AdmissionClosed]]:
    gate, said = RedeliveryGate(), list[AdmissionRequest | AdmissionClosed]()
    gate.guard(said.append)
    return gate, said


def test_each_slot_gets_its_own_answer() -> None:
    gate, said = guarded()
    one, two = gevent.spawn(gate.ask, 1, KEY, "q"), gevent.spawn(gate.ask, 2, KEY, "q")
    gevent.sleep(0)
    assert said == [AdmissionRequest(1, KEY.hex(), "q"), AdmissionRequest(2, KEY.hex(), "q")]
    gate.answered(AdmissionReply(2, "it kills"))
    assert two.get(timeout=5) == "it kills"
    assert not one.ready()
    gate.answered(AdmissionReply(1))
    assert one.get(timeout=5) == ""


def test_an_answer_for_nobody_is_nothing() -> None:
    gate, _ = guarded()
    gate.answered(AdmissionReply(3))


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
    assert said == [AdmissionClosed(1, KEY.hex()), AdmissionClosed(2, KEY.hex(), back=True)]
