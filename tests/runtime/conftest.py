"""Every test of this folder that wants a yard is run on each broker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from kombu_green.connection import Connection
from kombu_green.entity import Queue
from tests.support.yard import Yard


@pytest.fixture(params=["memory", "sqlite", "rabbitmq"])
def yard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Yard]:
    if request.param == "rabbitmq":
        url = str(request.getfixturevalue("rabbitmq").url)
    else:
        url = f"sqla+sqlite:///{tmp_path}/broker.db" if request.param == "sqlite" else f"memory://{uuid.uuid4().hex}"
    name = f"yard-{uuid.uuid4().hex[:8]}"
    with Connection(url) as connection:
        made = Yard(url, connection, name)
        yield made
        for suffix in ("", ".dead"):
            Queue(name + suffix)(connection.default_channel).delete()
