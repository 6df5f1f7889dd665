from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from kombu_green.connection import Connection


@pytest.fixture
def connection() -> Iterator[Connection]:
    with Connection(f"memory://{uuid.uuid4().hex}") as made:
        yield made
