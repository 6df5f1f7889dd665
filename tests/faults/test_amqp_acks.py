"""Acks out of order, mixed with rejects, on connections that end meanwhile: no unsettled message is ever acked."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from time import monotonic

import gevent
import pytest
from gevent.pool import Pool

from kombu_green.channel import Channel
from kombu_green.clock import Deadline
from kombu_green.connection import Connection
from kombu_green.exceptions import ConnectionLost, MessageStateError
from kombu_green.message import Content, Message
from kombu_green.testing import FaultProxy
from tests.support.rabbitmq import RabbitMQ

MESSAGES = 2000
KILLS = 10
PREFETCH = 50


class Handling:
    """Callbacks of random duration.  Acked messages must not be delivered again, and none may be lost."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.acked: set[bytes] = set()  # the ack was accepted; it may be lost with its connection
        self.acked_here: set[bytes] = set()  # those of the connection that is open now
        self.told: set[bytes] = set()  # something was answered on the ack's own connection after it
        self.came: Counter[bytes] = Counter()
        self.again: list[bytes] = []
        self.pool = Pool(PREFETCH)
        self.refused: list[Exception] = []

    def take(self, message: Message) -> None:
        self.came[message.body] += 1
        if message.body in self.told:
            self.again.append(message.body)
        self.pool.start(gevent.Greenlet(self._handle, message))

    def _handle(self, message: Message) -> None:
        gevent.sleep(self.random.choice((0, 0, 0, 0.0005, 0.002, 0.01)))
        try:
            if self.random.random() < 0.2:
                message.requeue()
            else:
                message.ack()
                self.acked.add(message.body)
                self.acked_here.add(message.body)
        except MessageStateError as error:
            if "has ended" not in str(error):
                self.refused.append(error)


@pytest.mark.parametrize("seed", [1, 2])
def test_no_unsettled_message_is_acked_when_connections_end(rabbitmq: RabbitMQ, seed: int) -> None:
    name = f"acks-{uuid.uuid4().hex}"
    handling = Handling(seed)
    with Connection(rabbitmq.url) as steady, FaultProxy("127.0.0.1", rabbitmq.port) as proxy:
        outside = steady.channel()
        outside.queue_declare(name)
        publishing = Pool(100)
        bodies = [b"%d" % number for number in range(MESSAGES)]
        publishing.map(lambda body: outside.basic_publish(Content(body), "", name), bodies)
        url = rabbitmq.url.replace(str(rabbitmq.port), str(proxy.port))
        for kill in range(KILLS + 1):
            _live(url, name, handling, proxy if kill < KILLS else None, handling.random.uniform(0.02, 0.15))
        handling.pool.join()
        assert outside.queue_declare(name, passive=True).message_count == 0
        outside.queue_delete(name)
    assert not handling.refused
    assert not handling.again
    assert set(handling.came) == handling.acked == set(bodies)


def _live(url: str, name: str, handling: Handling, proxy: FaultProxy | None, seconds: float) -> None:
    """One connection, which *proxy* cuts after *seconds*, unless all work is done before."""
    handling.acked_here.clear()
    with Connection(url) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.basic_consume(name, handling.take)
        serving = gevent.spawn(_serve, channel)
        ends = monotonic() + seconds
        while not serving.ready():
            gevent.sleep(0.005)
            if proxy is not None and monotonic() >= ends:
                _note_what_was_told(channel, name, handling)
                proxy.cut()
                break
            if proxy is None and len(handling.acked) == MESSAGES:
                break
        if proxy is None:
            connection.close()
        assert (serving.get(timeout=10) is None) is (proxy is None)


def _note_what_was_told(channel: Channel, name: str, handling: Handling) -> None:
    """The broker answers a passive declare after it has processed all earlier acks."""
    before = set(handling.acked_here)
    channel.queue_declare(name, passive=True)
    handling.told |= before


def _serve(channel: Channel) -> ConnectionLost | None:
    try:
        channel.serve(Deadline.never())
    except ConnectionLost as error:
        return error
    return None
