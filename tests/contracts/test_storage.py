"""The stores that need no server pass the suite that the package ships."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from kombu_green.storage import memory
from kombu_green.storage.contract import Storage
from kombu_green.storage.sqlalchemy import SQLAlchemyStore
from kombu_green.testing import StorageContract


class TestMemory(StorageContract):
    @pytest.fixture
    def open_store(self) -> Iterator[Callable[[], Storage]]:
        name = str(uuid4())
        yield lambda: memory.broker(name)
        memory.forget(name)


class TestSQLite(StorageContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], Storage]:
        return lambda: SQLAlchemyStore(f"sqlite:///{tmp_path}/broker.db")
