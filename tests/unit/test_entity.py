from __future__ import annotations

import pickle
from typing import Any

import pytest

from kombu_green.connection import Connection
from kombu_green.entity import Exchange, Queue, binding
from kombu_green.exceptions import NotBoundError, UnsupportedOption

MEDIA = Exchange("media", "topic", durable=False, auto_delete=True, delivery_mode="transient")
VIDEO = Queue(
    "video",
    MEDIA,
    routing_key="video.#",
    bindings=[binding(Exchange("more"), "key")],
    message_ttl=1.5,
    max_length=10,
)


class TestExchange:
    def test_defaults(self) -> None:
        exchange = Exchange("media")
        assert (exchange.type, exchange.durable, exchange.auto_delete) == ("direct", True, False)

    @pytest.mark.parametrize(("given", "mode"), [(1, 1), (2, 2), ("transient", 1), ("persistent", 2), (None, None)])
    def test_delivery_modes_by_number_and_name(self, given: Any, mode: int | None) -> None:
        assert Exchange("x", delivery_mode=given).delivery_mode == mode

    def test_an_unknown_delivery_mode_says_what_to_write(self) -> None:
        with pytest.raises(ValueError, match="transient"):
            Exchange("x", delivery_mode="sometimes")

    def test_unknown_keywords_are_type_errors(self) -> None:
        with pytest.raises(TypeError, match="colour"):
            Exchange("x", colour="green")  # type: ignore[call-arg]

    def test_equality_is_by_declaration(self) -> None:
        assert Exchange("a", "topic") == Exchange("a", "topic")
        assert Exchange("a", "topic") != Exchange("a", "direct")
        assert Exchange("a") != Queue("a")

    def test_a_message_has_a_delivery_mode(self) -> None:
        assert Exchange("x").Message("ü").properties["delivery_mode"] == 2
        assert MEDIA.Message("x").properties["delivery_mode"] == 1
        assert Exchange("x").Message("ü").body == "ü".encode()

    def test_immediate_is_refused(self) -> None:
        with Connection(f"memory://{__name__}") as connection:
            exchange = Exchange("x")(connection.channel())
            with pytest.raises(UnsupportedOption, match="immediate"):
                exchange.publish(exchange.Message("x"), immediate=True)


class TestBinding:
    def test_binding_gives_a_copy_and_leaves_the_original(self) -> None:
        with Connection(f"memory://{__name__}") as connection:
            channel = connection.channel()
            bound = VIDEO(channel)
            assert bound.is_bound
            assert bound.exchange is not None
            assert bound.exchange.is_bound
            assert not VIDEO.is_bound
            assert not MEDIA.is_bound
            assert bound == VIDEO

    @pytest.mark.parametrize(
        "operation", ["declare", "queue_declare", "queue_bind", "purge", "get", "consume", "delete", "unbind"]
    )
    def test_unbound_queues_name_the_operation(self, operation: str) -> None:
        with pytest.raises(NotBoundError, match=rf"Queue\.{operation} .*video"):
            getattr(VIDEO, operation)()

    @pytest.mark.parametrize("operation", ["declare", "delete"])
    def test_unbound_exchanges_name_the_operation(self, operation: str) -> None:
        with pytest.raises(NotBoundError, match=rf"Exchange\.{operation} .*media"):
            getattr(MEDIA, operation)()

    def test_unbound_publish_and_cancel(self) -> None:
        with pytest.raises(NotBoundError, match="publish"):
            MEDIA.publish(MEDIA.Message("x"))
        with pytest.raises(NotBoundError, match="cancel"):
            VIDEO.cancel("tag")

    def test_pickles_without_its_channel(self) -> None:
        with Connection(f"memory://{__name__}") as connection:
            bound = VIDEO(connection.channel())
            again = pickle.loads(pickle.dumps(bound))
            assert again == VIDEO
            assert not again.is_bound
            assert again.exchange == MEDIA
            assert not again.exchange.is_bound
            # pickling leaves the bound one as it is
            assert bound.exchange is not None
            assert bound.exchange.is_bound


class TestQueue:
    def test_times_become_milliseconds(self) -> None:
        assert VIDEO.queue_arguments == {"x-message-ttl": 1500, "x-max-length": 10}

    def test_exclusive_implies_auto_delete(self) -> None:
        assert Queue("x", exclusive=True).auto_delete

    def test_key_is_ignored_and_says_so(self) -> None:
        with pytest.warns(DeprecationWarning, match="routing_key="):
            assert Queue("video", MEDIA, key="video").routing_key == ""

    def test_unknown_keywords_are_type_errors(self) -> None:
        with pytest.raises(TypeError, match="rooting_key"):
            Queue("x", rooting_key="y")  # type: ignore[call-arg]

    def test_as_dict_and_back(self) -> None:
        plain = Queue("video", MEDIA, routing_key="k", message_ttl=1)
        assert Queue.from_dict(plain.as_dict()) == plain

    def test_on_declared_gets_name_and_counts(self) -> None:
        seen: list[tuple[Any, ...]] = []
        with Connection(f"memory://{__name__}") as connection:
            Queue("declared", on_declared=lambda *args: seen.append(args))(connection.channel()).declare()
        assert seen == [("declared", 0, 0)]
