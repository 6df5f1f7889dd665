"""The proxy of the fault tests, between a client and a server that echoes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from time import monotonic

import gevent
import pytest
from gevent.server import StreamServer
from gevent.socket import create_connection
from gevent.socket import socket as Socket  # noqa: N812  it is a class

from kombu_green.testing import FaultProxy, Way

PATIENCE = 10.0


def echo(client: Socket, address: object) -> None:
    with suppress(OSError):
        while data := client.recv(1 << 16):
            client.sendall(data)


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    server = StreamServer(("127.0.0.1", 0), echo)
    server.start()
    assert server.server_port is not None
    with gevent.Timeout(PATIENCE), FaultProxy("127.0.0.1", server.server_port) as made:
        yield made
    server.stop()


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[Socket]:
    with connect(proxy) as made:
        yield made


def connect(proxy: FaultProxy) -> Socket:
    return create_connection(("127.0.0.1", proxy.port))


def said_back(client: Socket, data: bytes) -> bytes:
    client.sendall(data)
    return received(client, len(data))


def received(client: Socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := client.recv(count - len(data))):
        data += more
    return data


def nothing_comes(client: Socket) -> bool:
    client.settimeout(0.05)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(None)
    return False


def test_passes_on_what_it_gets(proxy: FaultProxy, client: Socket) -> None:
    data = bytes(range(256)) * 4000
    greenlet = gevent.spawn(client.sendall, data)
    assert received(client, len(data)) == data
    greenlet.get()
    assert proxy.passed == {Way.UP: len(data), Way.DOWN: len(data)}
    assert (proxy.taken, proxy.open) == (1, 1)


def test_an_end_is_passed_on(proxy: FaultProxy, client: Socket) -> None:
    client.sendall(b"last words")
    client.shutdown(1)
    assert received(client, 100) == b"last words"
    while proxy.open:
        gevent.sleep(0.001)


def test_refuse_and_accept_on_the_same_port(proxy: FaultProxy, client: Socket) -> None:
    assert said_back(client, b"x") == b"x"
    port = proxy.port
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    assert said_back(client, b"those that are open stay") == b"those that are open stay"
    proxy.accept()
    with connect(proxy) as another:
        assert said_back(another, b"again") == b"again"
    assert proxy.port == port


def test_cut(proxy: FaultProxy, client: Socket) -> None:
    assert said_back(client, b"x") == b"x"
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert proxy.open == 0


@pytest.mark.parametrize(("way", "arrived"), [(Way.UP, None), (Way.DOWN, 5)])
def test_cut_after(proxy: FaultProxy, client: Socket, way: Way, arrived: int | None) -> None:
    proxy.cut_after(5, way)
    client.sendall(b"0123456789")
    got = b""
    with suppress(ConnectionResetError):
        while data := client.recv(100):
            got += data
    assert proxy.passed[way] == 5
    assert len(got) <= 5
    with connect(proxy) as another:
        assert said_back(another, b"the next one is whole") == b"the next one is whole"


def test_half_close(proxy: FaultProxy, client: Socket) -> None:
    assert said_back(client, b"x") == b"x"
    proxy.half_close(Way.DOWN)
    assert client.recv(1) == b""
    before = proxy.passed[Way.UP]
    client.sendall(b"still heard")
    while proxy.passed[Way.UP] == before:
        gevent.sleep(0.001)


@pytest.mark.parametrize("way", [None, Way.UP, Way.DOWN])
def test_stall_holds_up_and_loses_nothing(proxy: FaultProxy, client: Socket, way: Way | None) -> None:
    assert said_back(client, b"x") == b"x"
    proxy.stall(way)
    client.sendall(b"held up")
    assert nothing_comes(client)
    proxy.heal()
    assert received(client, 7) == b"held up"


def test_black_hole_takes_everything_also_from_new_connections(proxy: FaultProxy, client: Socket) -> None:
    assert said_back(client, b"x") == b"x"
    proxy.black_hole()
    client.sendall(b"x" * (8 << 20))  # more than buffers hold
    with connect(proxy) as another:
        another.sendall(b"hello?")
        assert nothing_comes(another)
    assert nothing_comes(client)
    proxy.heal()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with connect(proxy) as another:
        assert said_back(another, b"healed") == b"healed"


def test_delay(proxy: FaultProxy, client: Socket) -> None:
    proxy.delay(0.05)
    began = monotonic()
    assert said_back(client, b"x") == b"x"
    assert monotonic() - began >= 0.1  # two ways


def test_split(proxy: FaultProxy, client: Socket) -> None:
    assert said_back(client, b"x") == b"x"
    proxy.split(1)
    client.sendall(b"abcdef")
    assert client.recv(100) in {b"a", b"ab", b"abc"}  # the kernel may join a few
    received(client, 5)


@pytest.mark.parametrize("split", [0, 1, 3])
def test_at_a_marker_also_one_that_comes_in_pieces(proxy: FaultProxy, client: Socket, split: int) -> None:
    seen: list[int] = []
    proxy.at(b"now", lambda: seen.append(proxy.passed[Way.UP]), Way.UP)
    proxy.at(b"now", proxy.cut, Way.DOWN)
    client.sendall(b"not yet, no")
    received(client, 11)
    assert not seen
    client.sendall(b"w! now")
    with pytest.raises(ConnectionResetError):
        received(client, 100)
    assert seen == [11]


def test_stop_leaves_nothing_behind(proxy: FaultProxy) -> None:
    clients = [connect(proxy) for _ in range(5)]
    for client in clients:
        said_back(client, b"x")
    proxy.__exit__()
    assert proxy.open == 0
    assert proxy._group.alive == 0
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.start()
    with connect(proxy) as again:
        assert said_back(again, b"x") == b"x"
    for client in clients:
        client.close()
