"""The whole of what a transport must do."""

from __future__ import annotations

from kombu_green.testing.transport.crowds import Crowds
from kombu_green.testing.transport.failing import Failing
from kombu_green.testing.transport.publishing import Publishing
from kombu_green.testing.transport.queues import Queues
from kombu_green.testing.transport.settling import Settling
from kombu_green.testing.transport.simple import SimpleQueues
from kombu_green.testing.transport.waiting import Waiting

__all__ = ["TransportContract"]


class TransportContract(Publishing, Waiting, Settling, Failing, Queues, Crowds, SimpleQueues):
    """Subclass it, and give a fixture ``connect`` that returns a function which makes a new connection to one broker.

    ::

        class TestMine(TransportContract):
            @pytest.fixture
            def connect(self):
                return lambda: Connection("mine://…")
    """
