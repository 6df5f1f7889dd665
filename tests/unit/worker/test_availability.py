"""When an outage is told again, and what a worker's consumers make of its phase."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import gevent
import pytest

from kombu_green.clock import Deadline
from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.ipc.phases import Phase
from kombu_green.worker.availability import UNANSWERED, BrokerAvailability, OutageLog
from kombu_green.worker.consumer import QueueConsumer
from kombu_green.worker.slots import Slots


def test_an_outage_is_told_again_and_again_and_at_last_every_hour() -> None:
    outage, told = OutageLog(1000.0), []
    for second in range(1000, 1000 + 24 * 3600):
        if outage.due(second):
            told.append(second - 1000)
    gaps = [later - sooner for sooner, later in zip([0, *told], told, strict=False)]
    assert gaps[:4] == [30, 60, 120, 240]
    assert max(gaps) == 3600
    assert set(gaps[-10:]) == {3600}


class Watched:
    """Consumers of a memory broker that were not started: the test says what they are."""

    def __init__(self) -> None:
        self.waiting_since: float | None = None
        self.phases: list[Phase] = []
        self.failures: list[BaseException] = []
        connection = Connection(f"memory://{uuid.uuid4().hex}")
        self.consumers = [
            QueueConsumer(
                Queue(name), connection, Slots(name, 1, lambda message: None, print), print, prefetch=1, exclusive=False
            )
            for name in ("a", "b")
        ]
        self.availability = BrokerAvailability(
            self.consumers, lambda: self.waiting_since, self.phases.append, self.failures.append
        )

    def wait_for(self, phase: Phase) -> None:
        with gevent.Timeout(20):
            while self.phases[-1] is not phase:
                gevent.sleep(0.01)

    def set_ready(self, ready: bool) -> None:
        for consumer in self.consumers:
            (consumer.ready.set if ready else consumer.ready.clear)()
            consumer.trouble = "" if ready else "no route"
        self.availability.update()


@pytest.fixture
def watched() -> Iterator[Watched]:
    made = Watched()
    made.availability.start()
    yield made
    made.availability.stop(Deadline.after(1))
    assert made.failures == []


def test_a_worker_that_was_never_ready_starts_and_is_not_away(watched: Watched) -> None:
    watched.set_ready(False)
    assert watched.phases == []
    watched.set_ready(True)
    watched.set_ready(False)
    assert watched.phases == [Phase.READY, Phase.AWAY]
    assert watched.availability.reason == "a (and 1 other queues): no route"
    watched.set_ready(True)
    assert (watched.phases[-1], watched.availability.reason) == (Phase.READY, "")


def test_a_consumer_that_stands_by_is_not_away(watched: Watched) -> None:
    watched.set_ready(True)
    watched.consumers[1].ready.clear()
    watched.consumers[1].stands_by = True
    watched.availability.update()
    assert watched.phases == [Phase.READY, Phase.STANDBY]


def test_a_call_without_an_answer_is_seen_within_three_seconds(watched: Watched) -> None:
    watched.set_ready(True)
    watched.waiting_since = time.monotonic()
    watched.wait_for(Phase.AWAY)
    assert watched.availability.reason == UNANSWERED
    watched.waiting_since = None
    watched.wait_for(Phase.READY)
