from __future__ import annotations

import copy
import pickle
import socket
import uuid

import pytest

from kombu_green.connection import BrokerConnection, Connection
from kombu_green.entity import Queue
from kombu_green.exceptions import (
    ConnectionLimitExceeded,
    ConnectionLost,
    EnsureExhausted,
    PluginError,
    UnsupportedOption,
)
from kombu_green.messaging import Producer


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}"


class TestParameters:
    def test_kombus_keywords(self) -> None:
        connection = BrokerConnection("broker", "me", "secret", "media", port=5673, transport="memory")
        assert connection.host == "broker:5673"
        assert (connection.userid, connection.password, connection.virtual_host) == ("me", "secret", "media")

    def test_a_url_has_all_parameters(self) -> None:
        connection = Connection("memory://me:s%40cret@broker:5673/media")
        assert connection.password == "s@cret"
        assert connection.virtual_host == "media"

    def test_arguments_fill_what_the_url_leaves_out(self) -> None:
        connection = Connection("memory://broker", userid="me", virtual_host="media")
        assert (connection.userid, connection.virtual_host, connection.hostname) == ("me", "media", "broker")

    def test_no_password_is_shown(self) -> None:
        connection = Connection("memory://me:secret@broker")
        for shown in (repr(connection), connection.as_uri(), str(connection.info())):
            assert "secret" not in shown
        assert "secret" in connection.as_uri(include_password=True)

    def test_tls_is_refused_instead_of_plain_text(self, url: str) -> None:
        assert not Connection(url, ssl=False).ssl
        for asked in (True, {"ca_certs": "ca.pem"}):
            with pytest.raises(UnsupportedOption, match="no TLS yet"):
                Connection(url, ssl=asked)

    def test_several_urls(self) -> None:
        assert [each.hostname for each in Connection("memory://a;memory://b").brokers] == ["a", "b"]

    @pytest.mark.parametrize("again", [copy.copy, lambda it: pickle.loads(pickle.dumps(it)), Connection.clone])
    def test_copies_are_equal_and_not_connected(self, url: str, again: object) -> None:
        assert callable(again)
        with Connection(url, transport_options={"lease": 5}) as connection:
            connection.connect()
            made = again(connection)
            assert made == connection
            assert hash(made) == hash(connection)
            assert not made.connected

    def test_an_unknown_scheme_lists_what_there_is(self) -> None:
        with pytest.raises(PluginError, match=r"memry.*did you mean 'memory'"):
            Connection("memry://").connect()

    def test_an_unknown_option_is_named(self) -> None:
        with pytest.raises(UnsupportedOption, match=r"leese.*did you mean 'lease'"):
            Connection("memory://", transport_options={"leese": 3}).connect()

    def test_a_malformed_option_is_named(self) -> None:
        with pytest.raises(UnsupportedOption, match=r"lease.*soon"):
            Connection("memory://?lease=soon").connect()


class TestSeveralBrokers:
    def test_the_next_is_tried_when_one_cannot_be_reached(self, url: str) -> None:
        with Connection(f"amqp://127.0.0.1:{closed_port()};{url}") as connection:
            connection.connect()
            assert connection.broker.scheme == "memory"
            connection.close()
            connection.connect()  # begins with the one that answered
            assert connection.broker.scheme == "memory"

    def test_when_none_can_be_reached_the_last_error_is_raised(self) -> None:
        ports = [closed_port(), closed_port()]
        connection = Connection(";".join(f"amqp://127.0.0.1:{port}" for port in ports))
        with pytest.raises(ConnectionLost, match=str(ports[1])):
            connection.connect()


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class TestLife:
    def test_it_is_lazy_and_connects_by_itself(self, url: str) -> None:
        connection = Connection(url)
        states = [connection.connected]
        connection.channel()
        states.append(connection.connected)
        connection.close()
        connection.close()
        states.append(connection.connected)
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0)
        states.append(connection.connected)
        assert states == [False, True, False, True]

    def test_the_default_channel_is_kept_and_made_again(self, url: str) -> None:
        with Connection(url) as connection:
            first = connection.default_channel
            assert connection.default_channel is first
            first.close()
            assert connection.default_channel is not first

    def test_a_closed_channel_says_so(self, url: str) -> None:
        with Connection(url) as connection:
            channel = connection.channel()
        with pytest.raises(ConnectionLost):
            Producer(channel, auto_declare=False).publish("x", routing_key="q")


class Flaky:
    """Raises for its first calls; counts them, and how often it was revived."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0
        self.revived = 0

    def revive(self, channel: object) -> None:
        self.revived += 1

    def __call__(self, answer: int) -> int:
        self.calls += 1
        if self.calls <= self.failures:
            raise ConnectionLost("gone")
        return answer


class TestEnsure:
    @pytest.mark.parametrize(("failures", "retries"), [(0, 0), (1, 1), (3, 3), (3, None)])
    def test_a_call_is_repeated_up_to_max_retries(self, url: str, failures: int, retries: int | None) -> None:
        flaky, told = Flaky(failures), []
        with Connection(url) as connection:
            ensured = connection.ensure(
                flaky, flaky, lambda error, interval: told.append(interval), retries, interval_start=0, interval_step=0
            )
            assert ensured(42) == 42
        assert flaky.calls == failures + 1
        assert flaky.revived == failures
        assert told == [0] * failures

    def test_after_max_retries_the_error_has_the_cause(self, url: str) -> None:
        flaky = Flaky(9)
        with Connection(url) as connection, pytest.raises(EnsureExhausted) as caught:
            connection.ensure(flaky, flaky, max_retries=2, interval_start=0, interval_step=0)(1)
        assert flaky.calls == 3
        assert isinstance(caught.value.__cause__, ConnectionLost)

    def test_other_errors_are_not_retried(self, url: str) -> None:
        with Connection(url) as connection, pytest.raises(ZeroDivisionError):
            connection.ensure(Flaky(0), lambda: 1 / 0)()

    def test_ensure_connection(self, url: str) -> None:
        with Connection(url) as connection:
            assert connection.ensure_connection(max_retries=1).connected


class TestPool:
    def test_connections_release_themselves_to_their_pool(self, url: str) -> None:
        pool = Connection(url).Pool(2)
        with pool.acquire(block=True) as first, pool.acquire(block=True) as second:
            assert first is not second
            with pytest.raises(ConnectionLimitExceeded):
                pool.acquire(block=True, timeout=0.01)
        with pool.acquire() as again:
            assert again in (first, second)
        pool.close()

    def test_channels(self, url: str) -> None:
        with Connection(url) as connection:
            pool = connection.ChannelPool(1, preload=1)
            with pool.lease() as channel:
                Queue("q")(channel).declare()
            with pool.lease() as again:
                assert again is channel
