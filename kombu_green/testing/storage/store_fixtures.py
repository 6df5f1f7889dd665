"""What the store tests share: the fixtures, and functions that put and take messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from kombu_green.clock import Deadline
from kombu_green.declarations import QueueSpec
from kombu_green.message import Content
from kombu_green.storage.contract import Put, Reserved, Storage

__all__ = ["LONG", "PATIENCE", "SHORT", "StorageTests", "bodies", "message", "put", "take", "take_later"]

LONG = 600.0  # seconds: a lease or delay that does not end while a test runs
SHORT = 0.1  # seconds: a lease or delay that a test waits for
PATIENCE = 20.0  # seconds until a test gives up; only a broken store needs them

OpenStore = Callable[[], Storage]


class StorageTests:
    """Base of all parts of the suite; needs the fixture ``open_store``."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Opens the store under test; see :class:`~kombu_green.testing.StorageContract`."""
        raise NotImplementedError("write the fixture open_store")

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Iterator[Storage]:
        """A store with one queue, ``q``."""
        with closing(open_store()) as store:
            store.declare(QueueSpec("q"))
            yield store

    @pytest.fixture
    def other(self, store: Storage, open_store: OpenStore) -> Iterator[Storage]:
        """Another handle on the data of *store*."""
        with closing(open_store()) as other:
            yield other


def message(queue: str, body: bytes | str, **how: Any) -> Put:
    return Put(queue, Content(body if isinstance(body, bytes) else body.encode()), **how)


def put(store: Storage, queue: str, *bodies: bytes | str, **how: Any) -> None:
    """Put one message after another, so that their order is known."""
    for body in bodies:
        store.put([message(queue, body, **how)])


def take(store: Storage, queue: str = "q", count: int = 1, lease: float = LONG) -> list[Reserved]:
    return store.reserve({queue: count}, lease=lease)


def take_later(store: Storage, wants: Mapping[str, int] | str = "q", lease: float = LONG) -> list[Reserved]:
    """Reserve, and wait, as a consumer does, until there is a message; fails after :data:`PATIENCE` seconds."""
    wants = {wants: 1} if isinstance(wants, str) else wants
    deadline = Deadline.after(PATIENCE)
    with closing(store.wakeups()) as wakeups:
        while not (taken := store.reserve(wants, lease=lease)):
            deadline.check(f"nothing came to {', '.join(wants)}")
            wakeups.wait(list(wants), deadline)
    return taken


def bodies(taken: list[Reserved]) -> list[str]:
    return [reserved.content.body.decode() for reserved in taken]
