from __future__ import annotations

import uuid
from dataclasses import replace

from kombu_green.capabilities import Capabilities
from kombu_green.connection import Connection
from kombu_green.storage.memory import MemoryStore
from kombu_green.worker.connections import Connections


def test_one_connection_does_both_where_it_can() -> None:
    connections = Connections(Connection(f"memory://{uuid.uuid4().hex}"))
    assert connections.publishing is connections.consuming
    connections.channel()
    connections.close()
    assert not connections.consuming.connected


def test_they_are_apart_where_the_broker_wants_it() -> None:
    connection = Connection(f"memory://{uuid.uuid4().hex}")
    connection.connect().store_connection.store = Apart()  # type: ignore[attr-defined]
    connections = Connections(connection)
    publishing = connections.publishing
    assert publishing is not connection
    assert publishing == connection
    connections.channel()
    assert [publishing.connected, connection.connected] == [True, True]
    connections.close()
    assert [publishing.connected, connection.connected] == [False, False]


class Apart(MemoryStore):
    """A store that speaks for a broker of that kind."""

    capabilities: Capabilities = replace(MemoryStore.capabilities, publish_apart=True)  # type: ignore[misc]
