"""What every transport must do: the suite of AMQP's verbs as this library promises them, one module for each side."""

from __future__ import annotations

from kombu_green.testing.transport.acks import AckTests
from kombu_green.testing.transport.drain_events import DrainEventsTests
from kombu_green.testing.transport.publish import PublishTests
from kombu_green.testing.transport.queue_features import QueueFeatureTests
from kombu_green.testing.transport.refusals import RefusalTests
from kombu_green.testing.transport.simple_queues import SimpleQueueTests

__all__ = ["TransportContract"]


class TransportContract(
    PublishTests,
    DrainEventsTests,
    AckTests,
    RefusalTests,
    QueueFeatureTests,
    SimpleQueueTests,
):
    """Subclass it, and write a fixture ``connect`` that returns a function which makes a new connection to one broker.

    ::

        class TestMine(TransportContract):
            @pytest.fixture
            def connect(self):
                return lambda: Connection("mine://…")
    """
