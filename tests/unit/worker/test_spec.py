"""How a queue is consumed, and what of it a transport must know."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kombu_green.entity import Queue
from kombu_green.exceptions import UnsupportedOption
from kombu_green.storage.memory import MemoryStore
from kombu_green.worker.spec import ConsumerSpec, check_exclusive


def test_an_exclusive_consumer_needs_a_transport_that_knows_one() -> None:
    shared = ConsumerSpec(Queue("q"))
    alone = replace(shared, exclusive=True)
    on_a_store = MemoryStore.capabilities
    check_exclusive([shared], on_a_store)
    with pytest.raises(UnsupportedOption, match="queue 'q': a consumer can be exclusive on AMQP only"):
        check_exclusive([shared, alone], on_a_store)
    check_exclusive([shared, alone], replace(on_a_store, exclusive_consumers=True))
