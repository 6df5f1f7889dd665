"""A SQLite file that is replaced under a worker: it goes on with the new one, and says what it has lost."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from kombu_green.channel import Channel
from kombu_green.clock import Deadline
from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.exceptions import ConnectionLost, MessageStateError, Unroutable
from kombu_green.message import Message
from kombu_green.messaging import Consumer, Producer
from tests.support.yard import Yard

NOTICED_WITHIN = 5.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "broker.db"


@pytest.fixture
def yard(path: Path) -> Any:
    url = f"sqla+sqlite:///{path}"
    with Connection(url, transport_options={"lease": 3.0}) as connection:
        yield Yard(url, connection, "q")


def replace(path: Path, fate: str) -> None:
    """Move the file away with what belongs to it; put another one in its place if it is *replaced*."""
    if fate == "replaced":
        with Connection(f"sqla+sqlite:///{path}.new") as other:
            Queue("other")(other.default_channel).declare()
        os.rename(f"{path}.new", path)
    else:
        os.rename(path, f"{path}.old")
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


@pytest.mark.parametrize("fate", ["replaced", "moved away"])
def test_a_consumer_goes_on_with_the_new_file(yard: Yard, path: Path, fate: str) -> None:
    handled: list[Any] = []
    yard.handle = lambda body, message: handled.append(body)
    with yard.consuming():
        yard.publish("old")
        yard.wait(lambda: handled == ["old"])
        replace(path, fate)
        with gevent.Timeout(NOTICED_WITHIN), Connection(yard.url) as publisher:
            channel = publisher.channel()
            while not published(channel):
                gevent.sleep(0.01)
            while handled != ["old", "new"]:
                gevent.sleep(0.001)


def published(channel: Channel) -> bool:
    """Publish; False as long as the consumer has not declared its queue in the new file."""
    try:
        Producer(channel).publish("new", routing_key="q", mandatory=True)
    except Unroutable:
        return False
    return True


def test_what_was_leased_from_the_old_file_is_told_as_lost(
    yard: Yard, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    begun, go_on = Event(), Event()

    def handle(body: Any, message: Any) -> None:
        begun.set()
        go_on.wait()

    yard.handle = handle
    with yard.consuming():
        yard.publish("old")
        assert begun.wait(NOTICED_WITHIN)
        replace(path, "replaced")
        with gevent.Timeout(NOTICED_WITHIN):
            while "consuming again" not in caplog.text:
                gevent.sleep(0.001)
        go_on.set()
        yard.wait(lambda: yard.counters.lost_leases == 1)
    assert "the database was replaced by another" in caplog.text
    assert caplog.text.count("lost 1 lease") == 1
    assert yard.left() == []


@pytest.mark.parametrize("settle", [Message.ack, Message.requeue, Message.reject])
def test_a_message_of_the_old_file_cannot_be_settled(yard: Yard, path: Path, settle: Any) -> None:
    Queue("q")(yard.connection.default_channel).declare()
    yard.publish("x")
    message = Queue("q")(yard.connection.default_channel).get()
    assert message is not None
    replace(path, "replaced")
    with pytest.raises(MessageStateError, match="lost"):
        settle(message)


def test_a_connection_opens_the_new_file_by_itself(yard: Yard, path: Path) -> None:
    producer = Producer(yard.connection)
    channel = producer.channel
    replace(path, "replaced")
    with pytest.raises(ConnectionLost, match="was replaced by another"):
        producer.publish("lost", routing_key="q")
    assert not channel.is_open
    assert not yard.connection.connected
    got: list[Any] = []
    consumer = Consumer(yard.connection, Queue("q"), callbacks=[lambda body, message: got.append(body)])
    consumer.consume()
    producer.publish("new", routing_key="q")
    yard.connection.drain_events(timeout=NOTICED_WITHIN)
    assert got == ["new"]


def test_the_old_file_is_let_go(yard: Yard, path: Path) -> None:
    def held() -> list[str]:
        files = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd)]
        return [file for file in files if str(path) in file]

    yard.connection.connect()
    before = len(held())
    for _ in range(3):
        replace(path, "replaced")
        with pytest.raises(ConnectionLost):
            yard.publish("x")
        yard.connection.connect()
    deadline = Deadline.after(NOTICED_WITHIN)
    while len(held()) > before:
        deadline.check(f"still open: {held()}")
        gevent.sleep(0.01)


def _is_open(fd: str) -> bool:
    return os.path.islink(f"/proc/self/fd/{fd}")
