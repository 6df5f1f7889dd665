"""The network fails at every step of AMQP, in three ways: no call waits past its deadline, and a retry succeeds.

All cases run at the same time, each over its own proxy, because most of their time is waiting.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from functools import partial
from time import monotonic

import gevent
import pytest

from kombu_green.channel import Channel
from kombu_green.clock import Deadline
from kombu_green.connection import Connection
from kombu_green.exceptions import ConnectionLost
from kombu_green.message import Content, Message
from kombu_green.testing import FaultProxy, Way
from tests.support.rabbitmq import RabbitMQ

#: seconds that each call is given
PATIENCE = 1.0
#: seconds more that a busy machine may take
SLACK = 1.5
#: seconds that a fault lasts: longer than any call may wait
OUTAGE = PATIENCE + SLACK + 1.5
#: seconds after its end in which messages must flow again
BACK_WITHIN = 5.0

STEPS = {
    "start": (Way.DOWN, b"\x00\x0a\x00\x0a"),
    "start-ok": (Way.UP, b"\x00\x0a\x00\x0b"),
    "tune": (Way.DOWN, b"\x00\x0a\x00\x1e"),
    "open": (Way.UP, b"\x00\x0a\x00\x28"),
    "open-ok": (Way.DOWN, b"\x00\x0a\x00\x29"),
    "channel open": (Way.UP, b"\x00\x14\x00\x0a"),
    "channel open-ok": (Way.DOWN, b"\x00\x14\x00\x0b"),
    "declare": (Way.UP, b"\x00\x32\x00\x0a"),
    "declare-ok": (Way.DOWN, b"\x00\x32\x00\x0b"),
    "qos": (Way.UP, b"\x00\x3c\x00\x0a"),
    "consume": (Way.UP, b"\x00\x3c\x00\x14"),
    "consume-ok": (Way.DOWN, b"\x00\x3c\x00\x15"),
    "confirm select": (Way.UP, b"\x00\x55\x00\x0a"),
    "publish": (Way.UP, b"\x00\x3c\x00\x28"),
    "confirm": (Way.DOWN, b"\x00\x3c\x00\x50"),
    "deliver": (Way.DOWN, b"\x00\x3c\x00\x3c"),
    "ack": (Way.UP, b"\x00\x3c\x00\x50"),
    "cancel": (Way.UP, b"\x00\x3c\x00\x1e"),
    "cancel-ok": (Way.DOWN, b"\x00\x3c\x00\x1f"),
    "channel close": (Way.UP, b"\x00\x14\x00\x28"),
    "close": (Way.UP, b"\x00\x0a\x00\x32"),
}
FAULTS: dict[str, Callable[[FaultProxy], None]] = {
    "cut": FaultProxy.cut,
    "stall": FaultProxy.stall,
    "black hole": FaultProxy.black_hole,
}


class Life:
    """A client that connects, declares, consumes, publishes, acks, cancels and closes, until all succeeds."""

    def __init__(self, url: str, queue: str) -> None:
        self.url = url
        self.queue = queue
        self.confirmed: set[bytes] = set()
        self.handled: set[bytes] = set()
        self.late: list[str] = []
        self.flowed_at = 0.0
        self._ids = itertools.count()

    def lead(self) -> None:
        while True:
            connection = Connection(
                self.url, connect_timeout=PATIENCE, heartbeat=1, transport_options={"answer_timeout": PATIENCE}
            )
            try:
                self._once(connection)
                return
            except (ConnectionLost, TimeoutError):
                gevent.sleep(0.02)
            finally:
                self._timed("close", connection.close)

    def _once(self, connection: Connection) -> None:
        self._timed("connect", connection.connect)
        channel = connection.channel()
        self._timed("declare", lambda: channel.queue_declare(self.queue))
        channel.basic_qos(prefetch_count=3)
        self._timed("consume", lambda: channel.basic_consume(self.queue, self._handle, consumer_tag="life"))
        for _ in range(3):
            body = b"%d" % next(self._ids)
            content = Content(body, properties={"delivery_mode": 2})
            self._timed("publish", partial(self._publish, channel, content))
            self.confirmed.add(body)
        while not self.confirmed <= self.handled:
            self._timed("drain", lambda: connection.drain_events(PATIENCE))
        self._timed("cancel", lambda: channel.basic_cancel("life"))
        self._timed("close channel", channel.close)
        self._timed("close", connection.close)

    def _publish(self, channel: Channel, content: Content) -> None:
        channel.basic_publish(content, "", self.queue, deadline=Deadline.after(PATIENCE))

    def _handle(self, message: Message) -> None:
        self.flowed_at = monotonic()
        self.handled.add(message.body)
        message.ack()

    def _timed(self, what: str, call: Callable[[], object]) -> None:
        began = monotonic()
        try:
            call()
        finally:
            took = monotonic() - began
            if took > PATIENCE + SLACK:
                self.late.append(f"{what} took {took:.1f} s")


def trial(server: RabbitMQ, step: str, fault: str) -> list[str]:
    """The failures."""
    way, marker = STEPS[step]
    with FaultProxy("127.0.0.1", server.port) as proxy:
        struck: list[float] = []

        def strike() -> None:
            struck.append(monotonic())
            FAULTS[fault](proxy)

        proxy.at(marker, strike, way)
        life = Life(server.url.replace(str(server.port), str(proxy.port)), f"steps-{uuid.uuid4().hex}")
        leading = gevent.spawn(life.lead)
        while not struck:
            if leading.ready():
                return [f"the step never came: {leading.exception}"]
            gevent.sleep(0.01)
        gevent.sleep(OUTAGE)
        proxy.heal()
        healed = monotonic()
        leading.join(BACK_WITHIN + PATIENCE + SLACK)
        problems = life.late
        if not leading.ready():
            leading.kill()
            problems.append(f"not back: {life.confirmed - life.handled} of {len(life.confirmed)} not handled")
        elif leading.exception is not None:
            problems.append(repr(leading.exception))
        elif life.flowed_at > healed + BACK_WITHIN:
            problems.append(f"back after {life.flowed_at - healed:.1f} s")
        return problems


@pytest.mark.timeout(60)
def test_a_network_failure_at_any_step_ends_by_the_deadline_and_can_be_retried(rabbitmq: RabbitMQ) -> None:
    trials = {(step, fault): gevent.spawn(trial, rabbitmq, step, fault) for step in STEPS for fault in FAULTS}
    gevent.joinall(list(trials.values()), raise_error=True)
    problems = {key: found.value for key, found in trials.items() if found.value}
    assert not problems
