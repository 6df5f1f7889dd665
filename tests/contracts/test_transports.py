"""Every transport keeps the shipped contract."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from kombu_green.connection import Connection
from kombu_green.testing import TransportContract
from tests.support.rabbitmq import RabbitMQ


class TestMemory(TransportContract):
    @pytest.fixture
    def connect(self) -> Callable[[], Connection]:
        url = f"memory://{uuid.uuid4().hex}"
        return lambda: Connection(url)


class TestSQLite(TransportContract):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Callable[[], Connection]:
        url = f"sqla+sqlite:///{tmp_path}/broker.db"
        return lambda: Connection(url)


class TestRabbitMQ(TransportContract):
    @pytest.fixture
    def connect(self, rabbitmq: RabbitMQ) -> Callable[[], Connection]:
        return lambda: Connection(rabbitmq.url)
