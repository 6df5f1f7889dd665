"""How a queue is consumed, and what of it a transport must know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kombu_green.entity import Queue
from kombu_green.exceptions import UnsupportedOption
from kombu_green.storage.memory import MemoryStore
from kombu_green.worker.spec import ConsumerSpec, check_supported


@pytest.mark.parametrize(
    ("how", "trouble"),
    [
        ({"prefetch": 20}, "leave prefetch out"),
        ({"exclusive": True}, "the only consumer"),
        ({"queue": Queue("q", queue_arguments={"x-single-active-consumer": True})}, "the only consumer"),
        ({"queue": Queue("q", auto_delete=True)}, "queue 'q' could be deleted meanwhile"),
        ({"queue": Queue("q", exclusive=True)}, "queue 'q' could be deleted meanwhile"),
        ({"queue": Queue("q", expires=60)}, "queue 'q' could be deleted meanwhile"),
    ],
)
def test_what_cannot_stop_consuming_cannot_be_acked_early(how: dict[str, Any], trouble: str) -> None:
    late = replace(ConsumerSpec(Queue("q")), **how)
    with pytest.raises(ValueError, match=rf"ack = early stops consuming while all slots are busy: .*{trouble}"):
        replace(late, ack="early")


def test_an_ack_is_late_or_early() -> None:
    assert not ConsumerSpec(Queue("q")).early
    assert ConsumerSpec(Queue("q"), ack="early").early
    with pytest.raises(ValueError, match="ack = 'erly': late or early is meant"):
        ConsumerSpec(Queue("q"), ack="erly")  # type: ignore[arg-type]  # on purpose


def test_an_exclusive_consumer_needs_a_transport_that_knows_one() -> None:
    shared = ConsumerSpec(Queue("q"))
    alone = replace(shared, exclusive=True)
    on_a_store = MemoryStore.capabilities
    check_supported([shared], on_a_store)
    with pytest.raises(UnsupportedOption, match="queue 'q': a consumer can be exclusive on AMQP only"):
        check_supported([shared, alone], on_a_store)
    check_supported([shared, alone], replace(on_a_store, exclusive_consumers=True))
