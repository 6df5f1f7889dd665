"""RabbitMQ with a foreign program at one end and this package at the other."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from kombu_green.connection import Connection
from tests.support.foreign import Foreign
from tests.support.rabbitmq import RabbitMQ


@pytest.fixture(scope="session")
def kombu(rabbitmq: RabbitMQ) -> Iterator[Foreign]:
    """A separate program that uses kombu, connected to the broker."""
    with Foreign("kombu_end", rabbitmq.url) as program:
        yield program


@pytest.fixture
def connection(rabbitmq: RabbitMQ) -> Iterator[Connection]:
    with Connection(rabbitmq.url) as opened:
        yield opened


@pytest.fixture
def name() -> str:
    """A unique name for a queue or an exchange."""
    return f"interop-{uuid.uuid4().hex[:12]}"
