"""What every transport must do, as a test class to subclass: AMQP's verbs as this library promises them."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from kombu_green.channel import Channel
from kombu_green.connection import Connection
from kombu_green.entity import Exchange, Queue
from kombu_green.exceptions import MessageStateError, NotFound, PreconditionFailed, Unroutable
from kombu_green.message import Message
from kombu_green.messaging import Consumer, Producer
from kombu_green.simple import Empty

__all__ = ["TransportContract"]

#: seconds within which what must come has come, on a slow machine
PATIENCE = 20.0


class TransportContract:
    """Subclass it, and give a fixture ``connect`` that returns a function which makes a new connection to one broker.

    ::

        class TestMine(TransportContract):
            @pytest.fixture
            def connect(self):
                return lambda: Connection("mine://…")
    """

    @pytest.fixture
    def connection(self, connect: Callable[[], Connection]) -> Iterator[Connection]:
        with connect() as made:
            yield made

    @pytest.fixture
    def channel(self, connection: Connection) -> Channel:
        return connection.channel()

    @pytest.fixture
    def name(self) -> str:
        return f"contract-{uuid.uuid4().hex[:12]}"

    # -- publish and consume

    def test_overview_flow(self, connection: Connection, name: str) -> None:
        """kombu 0.9.6's overview: a queue with ``key=``, a producer without routing key."""
        media = Exchange(name, "direct", durable=True)
        with pytest.warns(DeprecationWarning, match="routing_key"):
            video = Queue(f"{name}.video", exchange=media, key="video")
        channel = connection.channel()
        consumer = Consumer(channel, video)
        got: list[Any] = []

        def process(body: Any, message: Message) -> None:
            got.append(body)
            message.ack()

        consumer.register_callback(process)
        consumer.consume()
        producer = Producer(channel, exchange=media, serializer="json")
        producer.publish({"name": "/tmp/lolcat1.avi", "size": 1301013})
        drain_until(connection, lambda: bool(got))
        assert got == [{"name": "/tmp/lolcat1.avi", "size": 1301013}]

    def test_direct_reaches_the_queues_bound_with_that_key(self, channel: Channel, name: str) -> None:
        self._check_routing(channel, name, "direct", ["video", "audio"], {"video": {"video"}, "none": set()})

    def test_fanout_reaches_all(self, channel: Channel, name: str) -> None:
        self._check_routing(channel, name, "fanout", ["", "x"], {"anything": {"", "x"}})

    def test_topic(self, channel: Channel, name: str) -> None:
        patterns = ["a.#", "a.*", "*.stock.#"]
        expected = {
            "a": {"a.#"},
            "a.b": {"a.#", "a.*"},
            "a.b.c": {"a.#"},
            "usd.stock": {"*.stock.#"},
            "eur.stock.db": {"*.stock.#"},
            "stock.nasdaq": set(),
        }
        self._check_routing(channel, name, "topic", patterns, expected)

    def _check_routing(
        self, channel: Channel, name: str, type: str, keys: list[str], expected: dict[str, set[str]]
    ) -> None:
        exchange = Exchange(name, type)
        queues = {key: declared(Queue(f"{name}.{number}", exchange, key), channel) for number, key in enumerate(keys)}
        producer = Producer(channel, exchange)
        for routing_key in expected:
            producer.publish({"key": routing_key}, routing_key=routing_key)
        for key, queue in queues.items():
            wanted = {routing_key for routing_key, reached in expected.items() if key in reached}
            assert {message.payload["key"] for message in taken(queue)} == wanted

    def test_headers_exchange(self, channel: Channel, name: str) -> None:
        exchange = Exchange(name, "headers")
        both = declared(
            Queue(f"{name}.all", exchange, binding_arguments={"x-match": "all", "kind": "pdf", "pages": 2}), channel
        )
        either = declared(
            Queue(f"{name}.any", exchange, binding_arguments={"x-match": "any", "kind": "pdf", "pages": 2}), channel
        )
        producer = Producer(channel, exchange)
        producer.publish(1, headers={"kind": "pdf", "pages": 2})
        producer.publish(2, headers={"kind": "pdf", "pages": 3})
        producer.publish(3, headers={"kind": "png"})
        assert [message.payload for message in taken(both)] == [1]
        assert [message.payload for message in taken(either)] == [1, 2]

    def test_nameless_exchange_routes_to_the_queue_of_that_name(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        Producer(channel).publish({"a": 1}, routing_key=name)
        assert [message.payload for message in taken(queue)] == [{"a": 1}]

    def test_properties_and_headers_travel(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        Producer(channel).publish(
            "text",
            routing_key=name,
            headers={"lang": "py", "n": 3},
            message_id="m1",
            correlation_id="c1",
            reply_to="replies",
        )
        (message,) = taken(queue)
        assert message.payload == "text"
        assert message.content_type == "text/plain"
        assert message.headers["lang"] == "py"
        assert message.headers["n"] == 3
        assert {key: message.properties[key] for key in ("message_id", "correlation_id", "reply_to")} == {
            "message_id": "m1",
            "correlation_id": "c1",
            "reply_to": "replies",
        }
        assert message.delivery_info["routing_key"] == name

    @pytest.mark.parametrize(
        "body", [b"", bytes(range(256)) * 8, "", "ünïcode", {}, [], 0, None, False, {"deep": [{}]}]
    )
    def test_bodies_come_back_as_they_were(self, channel: Channel, name: str, body: Any) -> None:
        queue = declared(Queue(name), channel)
        Producer(channel).publish(body, routing_key=name)
        (message,) = taken(queue)
        assert message.payload == body
        assert type(message.payload) is type(body)

    def test_compression(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        Producer(channel, compression="zlib").publish({"text": "a" * 10_000}, routing_key=name)
        (message,) = taken(queue)
        assert len(message.body) < 1000
        assert message.payload == {"text": "a" * 10_000}

    def test_two_queues_on_one_channel_and_two_channels(self, connection: Connection, name: str) -> None:
        got: list[tuple[str, Any]] = []
        first, second = connection.channel(), connection.channel()
        for channel, queue in ((first, "a"), (first, "b"), (second, "c")):
            consumer = Consumer(channel, Queue(f"{name}.{queue}"))
            consumer.register_callback(recorder(got, queue))
            consumer.consume()
        producer = Producer(connection.channel())
        for queue in "abc":
            producer.publish(queue, routing_key=f"{name}.{queue}")
        drain_until(connection, lambda: len(got) == 3)
        assert sorted(got) == [("a", "a"), ("b", "b"), ("c", "c")]

    def test_two_consumers_of_one_queue_share_fairly(self, connection: Connection, name: str) -> None:
        got: list[tuple[str, Any]] = []
        for who in ("one", "two"):
            consumer = Consumer(connection.channel(), Queue(name), prefetch_count=5)
            consumer.register_callback(recorder(got, who))
            consumer.consume()
        producer = Producer(connection.channel())
        for number in range(40):
            producer.publish(number, routing_key=name)
        drain_until(connection, lambda: len(got) == 40)
        assert sorted(body for _, body in got) == list(range(40))
        assert min(sum(who == each for who, _ in got) for each in ("one", "two")) >= 10

    def test_first_in_first_out(self, channel: Channel, connection: Connection, name: str) -> None:
        got: list[tuple[str, Any]] = []
        consumer = Consumer(channel, Queue(name))
        consumer.register_callback(recorder(got, ""))
        producer = Producer(channel)
        for number in range(250):
            producer.publish(number, routing_key=name)
        consumer.consume()
        drain_until(connection, lambda: len(got) == 250)
        assert [body for _, body in got] == list(range(250))

    # -- waiting

    def test_drain_events_with_zero_polls_once(self, connection: Connection, channel: Channel, name: str) -> None:
        got: list[Any] = []
        consumer = Consumer(channel, Queue(name), callbacks=[recorder(got, "")])
        consumer.consume()
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0)
        Producer(channel).publish(1, routing_key=name)
        drain_until(connection, lambda: bool(got), timeout=0)

    def test_drain_events_times_out(self, connection: Connection, channel: Channel, name: str) -> None:
        Consumer(channel, Queue(name), callbacks=[recorder([], "")]).consume()
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.05)

    def test_a_waiting_drain_wakes_for_a_message_of_another_connection(
        self, connection: Connection, connect: Callable[[], Connection], name: str
    ) -> None:
        got: list[Any] = []
        Consumer(connection.channel(), Queue(name), callbacks=[recorder(got, "")]).consume()
        waiting = gevent.spawn(connection.drain_events, timeout=PATIENCE)
        gevent.idle()
        with connect() as other:
            Producer(other.channel()).publish("news", routing_key=name)
            waiting.get(timeout=PATIENCE)
        assert got == [("", "news")]

    # -- settling

    def test_ack_removes(self, connect: Callable[[], Connection], name: str) -> None:
        with connect() as connection:
            channel = connection.channel()
            queue = declared(Queue(name), channel)
            Producer(channel).publish(1, routing_key=name)
            message = required(queue)
            message.ack()
            assert message.acknowledged
        with connect() as connection:
            assert declared(Queue(name), connection.channel()).get() is None

    def test_settling_twice_is_an_error(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        Producer(channel).publish(1, routing_key=name)
        message = required(queue)
        message.ack()
        for again in (message.ack, message.reject, message.requeue):
            with pytest.raises(MessageStateError):
                again()

    def test_requeue_goes_first_in_line_and_is_marked(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        for number in range(3):
            Producer(channel).publish(number, routing_key=name)
        first = required(queue)
        assert first.delivery_info["redelivered"] is False
        first.requeue()
        again = required(queue)
        assert again.payload == 0
        assert again.delivery_info["redelivered"] is True

    def test_closing_the_channel_gives_back(self, connection: Connection, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        for number in range(3):
            Producer(channel).publish(number, routing_key=name)
        assert [required(queue).payload, required(queue).payload] == [0, 1]
        channel.close()
        other = declared(Queue(name), connection.channel())
        assert [message.payload for message in taken(other)] == [0, 1, 2]

    def test_recover(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        Producer(channel).publish("x", routing_key=name)
        required(queue)
        assert queue.get() is None
        channel.basic_recover(requeue=True)
        assert required(queue).payload == "x"

    def test_ack_multiple(self, connection: Connection, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        for number in range(3):
            Producer(channel).publish(number, routing_key=name)
        _, second, _ = (required(queue) for _ in range(3))
        second.ack(multiple=True)
        channel.close()
        assert [message.payload for message in taken(declared(Queue(name), connection.channel()))] == [2]

    def test_no_ack(self, connection: Connection, channel: Channel, name: str) -> None:
        got: list[Any] = []
        consumer = Consumer(channel, Queue(name), no_ack=True)
        consumer.register_callback(lambda body, message: got.append(body))
        consumer.consume()
        for number in range(3):
            Producer(channel).publish(number, routing_key=name)
        drain_until(connection, lambda: len(got) == 3)
        channel.close()
        assert declared(Queue(name), connection.channel()).get() is None

    def test_prefetch_bounds_what_is_delivered(self, connection: Connection, channel: Channel, name: str) -> None:
        messages: list[Message] = []
        consumer = Consumer(channel, Queue(name), on_message=messages.append, prefetch_count=2)
        consumer.consume()
        for number in range(5):
            Producer(channel).publish(number, routing_key=name)
        drain_until(connection, lambda: len(messages) == 2)
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.05)
        messages[0].ack()
        drain_until(connection, lambda: len(messages) == 3)
        assert [message.payload for message in messages] == [0, 1, 2]

    def test_cancel_stops_and_gives_back_what_nobody_saw(
        self, connection: Connection, channel: Channel, name: str
    ) -> None:
        got: list[tuple[str, Any]] = []
        consumer = Consumer(channel, Queue(name), callbacks=[recorder(got, "")])
        consumer.consume()
        for number in range(4):
            Producer(channel).publish(number, routing_key=name)
        drain_until(connection, lambda: len(got) == 1)
        consumer.cancel()
        queue = declared(Queue(name), connection.channel())
        assert [message.payload for message in taken(queue)] == [1, 2, 3]

    # -- what fails

    def test_mandatory_raises_unroutable(self, channel: Channel, name: str) -> None:
        exchange = Exchange(name, "direct")
        producer = Producer(channel, exchange)
        producer.publish(1, routing_key="nowhere")
        with pytest.raises(Unroutable) as caught:
            producer.publish(1, routing_key="nowhere", mandatory=True)
        assert (caught.value.exchange, caught.value.routing_key) == (name, "nowhere")
        with pytest.raises(Unroutable):
            Producer(channel).publish(1, routing_key=f"{name}-no-queue", mandatory=True)

    def test_on_return(self, channel: Channel, name: str) -> None:
        returned: list[tuple[Any, ...]] = []
        producer = Producer(channel, Exchange(name), on_return=lambda *args: returned.append(args))
        producer.publish({"a": 1}, routing_key="nowhere", mandatory=True)
        ((error, exchange, key, content),) = returned
        assert isinstance(error, Unroutable)
        assert (exchange, key) == (name, "nowhere")
        assert content.body == b'{"a":1}'

    def test_passive_declare_of_what_is_not_there(self, connection: Connection, name: str) -> None:
        with pytest.raises(NotFound, match=name):
            Queue(name)(connection.channel()).queue_declare(passive=True)
        with pytest.raises(NotFound, match=name):
            Exchange(name)(connection.channel()).declare(passive=True)

    def test_declaring_anew_with_another_argument_says_which(self, connection: Connection, name: str) -> None:
        declared(Queue(name, message_ttl=1), connection.channel())
        with pytest.raises(PreconditionFailed, match="x-message-ttl"):
            declared(Queue(name, message_ttl=2), connection.channel())
        declared(Queue(name, message_ttl=1), connection.channel())

    def test_exchange_declared_anew_with_another_type(self, connection: Connection, name: str) -> None:
        Exchange(name, "direct")(connection.channel()).declare()
        with pytest.raises(PreconditionFailed, match="type"):
            Exchange(name, "topic")(connection.channel()).declare()

    def test_undecodable_goes_to_on_decode_error(self, connection: Connection, channel: Channel, name: str) -> None:
        failed: list[tuple[Message, Exception]] = []
        got: list[Any] = []

        def keep(message: Message, error: Exception) -> None:
            failed.append((message, error))
            message.ack()

        consumer = Consumer(
            channel,
            Queue(name),
            callbacks=[recorder(got, "")],
            on_decode_error=keep,
        )
        consumer.consume()
        producer = Producer(channel)
        producer.publish(b"{not json", routing_key=name, content_type="application/json", content_encoding="utf-8")
        producer.publish({"fine": True}, routing_key=name)
        drain_until(connection, lambda: bool(got) and bool(failed))
        assert failed[0][0].body == b"{not json"

    def test_a_consumer_decodes_only_what_it_accepts(self, connection: Connection, channel: Channel, name: str) -> None:
        refused: list[Message] = []

        def keep(message: Message, error: Exception) -> None:
            refused.append(message)
            message.ack()

        got: list[tuple[str, Any]] = []
        consumer = Consumer(
            channel, Queue(name), callbacks=[recorder(got, "")], on_decode_error=keep, accept=["text/plain"]
        )
        consumer.consume()
        Producer(channel).publish({"refused": True}, routing_key=name)
        Producer(channel).publish("fine", routing_key=name)
        drain_until(connection, lambda: bool(got) and bool(refused))
        assert got == [("", "fine")]

    @pytest.mark.parametrize(
        ("content_type", "encoding", "body"),
        [
            ("application/json", "utf-8", b"{not json"),
            ("application/json", "no-such-charset", b"{}"),
            ("application/x-python-serialize", "binary", b"cos\nsystem\n."),
            ("application/unheard-of", "utf-8", b"?"),
        ],
    )
    def test_undecodable_without_handler_is_kept_in_the_dead_queue(
        self, connection: Connection, channel: Channel, name: str, content_type: str, encoding: str, body: bytes
    ) -> None:
        got: list[Any] = []
        consumer = Consumer(channel, Queue(name), callbacks=[recorder(got, "")])
        consumer.consume()
        producer = Producer(channel)
        producer.publish(body, routing_key=name, content_type=content_type, content_encoding=encoding)
        producer.publish({"fine": True}, routing_key=name)
        drain_until(connection, lambda: bool(got))
        dead = declared(Queue(f"{name}.dead"), connection.channel())
        (message,) = taken(dead)
        assert message.body == body
        assert message.content_type == content_type
        assert any("reason" in header for header in message.headers)

    # -- queues

    def test_size_purge_and_delete(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        for number in range(3):
            Producer(channel).publish(number, routing_key=name)
        assert queue.queue_declare(passive=True)[1] == 3
        assert queue.purge() == 3
        assert queue.get() is None
        Producer(channel).publish(1, routing_key=name)
        with pytest.raises(PreconditionFailed):
            queue.delete(if_empty=True)

    def test_delete_takes_messages_and_bindings_along(self, connection: Connection, name: str) -> None:
        channel = connection.channel()
        exchange = Exchange(name)
        queue = declared(Queue(name, exchange, "k"), channel)
        Producer(channel, exchange).publish(1, routing_key="k")
        assert queue.delete() == 1
        with pytest.raises(Unroutable):
            Producer(channel, exchange).publish(2, routing_key="k", mandatory=True)

    def test_unbind(self, channel: Channel, name: str) -> None:
        exchange = Exchange(name)
        queue = declared(Queue(name, exchange, "k"), channel)
        queue.unbind()
        with pytest.raises(Unroutable):
            Producer(channel, exchange).publish(1, routing_key="k", mandatory=True)

    def test_a_binding_made_on_another_connection_is_seen(self, connect: Callable[[], Connection], name: str) -> None:
        exchange = Exchange(name)
        with connect() as publishing, connect() as consuming:
            producer = Producer(publishing.channel(), exchange)
            producer.publish("early", routing_key="k")
            queue = declared(Queue(name, exchange, "k"), consuming.channel())
            with gevent.Timeout(PATIENCE):
                while True:
                    try:
                        producer.publish("late", routing_key="k", mandatory=True)
                        break
                    except Unroutable:
                        gevent.sleep(0.01)
            assert required(queue).payload == "late"

    def test_names_are_made_up_for_queues_without_one(self, channel: Channel) -> None:
        first, second = declared(Queue("", exclusive=True), channel), declared(Queue("", exclusive=True), channel)
        assert first.name
        assert first.name != second.name

    def test_exclusive_queues_go_with_their_connection(self, connect: Callable[[], Connection], name: str) -> None:
        with connect() as connection:
            declared(Queue(name, exclusive=True), connection.channel())
        with connect() as connection, pytest.raises(NotFound):
            Queue(name)(connection.channel()).queue_declare(passive=True)

    def test_dead_letter_exchange_takes_what_is_rejected(self, channel: Channel, name: str) -> None:
        dead = declared(Queue(f"{name}.buried", Exchange(f"{name}.dlx"), "gone"), channel)
        queue = declared(
            Queue(
                name,
                queue_arguments={"x-dead-letter-exchange": f"{name}.dlx", "x-dead-letter-routing-key": "gone"},
            ),
            channel,
        )
        Producer(channel).publish({"n": 1}, routing_key=name)
        required(queue).reject()
        message = eventually(dead)
        assert message.payload == {"n": 1}
        (death,) = message.headers["x-death"]
        assert (death["queue"], death["reason"], death["count"]) == (name, "rejected", 1)

    def test_messages_expire_into_the_dead_letter_exchange(self, channel: Channel, name: str) -> None:
        dead = declared(Queue(f"{name}.buried", Exchange(f"{name}.dlx", "fanout")), channel)
        queue = declared(Queue(name, queue_arguments={"x-dead-letter-exchange": f"{name}.dlx"}), channel)
        Producer(channel).publish("stale", routing_key=name, expiration=0.01)
        gevent.sleep(0.05)  # what is tested is that time passes
        assert queue.get() is None
        message = eventually(dead)
        assert message.payload == "stale"
        assert message.headers["x-death"][0]["reason"] == "expired"
        assert "expiration" not in message.properties

    def test_what_goes_round_without_being_rejected_is_dropped(self, channel: Channel, name: str) -> None:
        queue = declared(
            Queue(
                name,
                message_ttl=0.02,
                queue_arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": name},
            ),
            channel,
        )
        Producer(channel).publish("round", routing_key=name)
        gevent.sleep(0.1)  # what is tested is that time passes
        assert queue.get() is None
        assert queue.queue_declare(passive=True)[1] == 0

    def test_auto_delete_queues_go_with_their_last_consumer(self, connection: Connection, name: str) -> None:
        first, second = (
            Consumer(connection.channel(), Queue(name, auto_delete=True), callbacks=[recorder([], "")])
            for _ in range(2)
        )
        first.consume()
        second.consume()
        first.cancel()
        assert Queue(name)(connection.channel()).queue_declare(passive=True)[0] == name
        second.cancel()
        with pytest.raises(NotFound):
            Queue(name)(connection.channel()).queue_declare(passive=True)

    def test_queue_ttl(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name, message_ttl=0.01), channel)
        Producer(channel).publish("stale", routing_key=name)
        gevent.sleep(0.05)  # what is tested is that time passes
        assert queue.get() is None

    def test_priorities(self, connection: Connection, channel: Channel, name: str) -> None:
        if not connection.connect().capabilities.priorities:
            pytest.skip("this transport has no priorities, and says so")
        queue = declared(Queue(name, max_priority=9), channel)
        for priority in (None, 5, 9, 0, 1, 9):
            Producer(channel).publish(priority, routing_key=name, priority=priority)
        assert [message.payload for message in taken(queue)] == [9, 9, 5, 1, None, 0]

    def test_delay(self, connection: Connection, channel: Channel, name: str) -> None:
        if not connection.connect().capabilities.delay:
            pytest.skip("this transport has no delayed delivery, and says so")
        got: list[tuple[str, Any]] = []
        consumer = Consumer(channel, Queue(name), callbacks=[recorder(got, "")])
        consumer.consume()
        producer = Producer(channel)
        producer.publish("later", routing_key=name, delay=0.3)
        producer.publish("now", routing_key=name)
        drain_until(connection, lambda: len(got) == 1)
        assert got == [("", "now")]
        drain_until(connection, lambda: len(got) == 2)
        assert got[1] == ("", "later")

    # -- many at once

    def test_many_greenlets_publish_and_consume_on_one_connection(self, connection: Connection, name: str) -> None:
        got: list[tuple[str, Any]] = []
        consumers = [Consumer(connection.channel(), Queue(name), prefetch_count=7) for _ in range(3)]
        for consumer in consumers:
            consumer.register_callback(recorder(got, ""))
            consumer.consume()
        shared = Producer(connection.channel())
        numbers = itertools.count()

        def publish() -> None:
            for _ in range(5):
                shared.publish(next(numbers), routing_key=name)

        def drain() -> None:
            while len(got) < 250:
                try:
                    connection.drain_events(timeout=0.2)
                except TimeoutError:
                    continue

        greenlets = [gevent.spawn(publish) for _ in range(50)] + [gevent.spawn(drain) for _ in range(3)]
        done = gevent.joinall(greenlets, timeout=PATIENCE, raise_error=True)
        assert len(done) == len(greenlets)
        assert sorted(body for _, body in got) == list(range(250))

    # -- simple queues

    def test_simple_queue(self, connection: Connection, name: str) -> None:
        with connection.SimpleQueue(name) as queue:
            with pytest.raises(Empty):
                queue.get_nowait()
            with pytest.raises(Empty):
                queue.get(timeout=0.05)
            for number in range(3):
                queue.put({"n": number})
            assert len(queue) == 3
            messages = [queue.get(timeout=PATIENCE) for _ in range(3)]
            assert [message.payload["n"] for message in messages] == [0, 1, 2]
            for message in messages:
                message.ack()
            waiting = gevent.spawn(queue.get, timeout=PATIENCE)
            gevent.idle()
            queue.put("last")
            assert waiting.get(timeout=PATIENCE).payload == "last"

    def test_a_simple_queue_keeps_nothing_from_others(
        self, connection: Connection, connect: Callable[[], Connection], name: str
    ) -> None:
        queue = connection.SimpleQueue(name)
        waiting = gevent.spawn(queue.get, timeout=PATIENCE)
        gevent.idle()
        with connect() as other:
            for number in range(3):
                other.SimpleQueue(name).put(number)
            waiting.get(timeout=PATIENCE).ack()
            with pytest.raises(TimeoutError):  # it takes nothing while nobody waits for it
                connection.drain_events(timeout=0.05)
            assert [message.payload for message in taken(declared(Queue(name, name, name), other.channel()))] == [1, 2]

    def test_simple_buffer(self, connection: Connection, name: str) -> None:
        buffer = connection.SimpleBuffer(name)
        buffer.put(1)
        assert buffer.get(timeout=PATIENCE).payload == 1
        buffer.put(2)
        assert buffer.clear() == 1
        buffer.close()


def declared(queue: Queue, channel: Channel) -> Queue:
    """*queue* bound to *channel* and declared."""
    bound = queue(channel)
    bound.declare()
    return bound


def required(queue: Queue) -> Message:
    """The next message, which is there."""
    message = queue.get()
    assert message is not None, f"{queue.name} is empty"
    return message


def eventually(queue: Queue) -> Message:
    """The next message, which some brokers take a moment to move here."""
    with gevent.Timeout(PATIENCE):
        while (message := queue.get()) is None:
            gevent.sleep(0.01)
    return message


def taken(queue: Queue) -> list[Message]:
    """Everything in *queue* now, acked."""
    messages = []
    while (message := queue.get()) is not None:
        message.ack()
        messages.append(message)
    return messages


def recorder(got: list[tuple[str, Any]], who: str) -> Callable[[Any, Message], None]:
    """A callback that notes ``(who, body)`` and acks."""

    def record(body: Any, message: Message) -> None:
        got.append((who, body))
        message.ack()

    return record


def drain_until(connection: Connection, done: Callable[[], bool], timeout: float | None = PATIENCE) -> None:
    """Drain until *done*; each call with *timeout*, all of them within :data:`PATIENCE`."""
    with gevent.Timeout(PATIENCE):
        while not done():
            try:
                connection.drain_events(timeout=timeout)
            except TimeoutError:
                gevent.sleep(0.001)
