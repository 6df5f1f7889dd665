"""The steps from a socket to an open connection, said by a broker made of bytes."""

from __future__ import annotations

from typing import Any

import pytest
from amqp.serialization import dumps, loads

from kombu_green.exceptions import AccessRefused, ConnectionLost, ProtocolError
from kombu_green.transport.amqp.protocol.parser import Confirmed, Event, FrameParser, Method
from kombu_green.transport.amqp.socket.handshake import Handshake, Login, Tuning, mechanisms

CONNECTION = 10 << 16


def said(number: int, form: str, *values: Any) -> Method:
    return Method(0, CONNECTION | number, dumps(form, values))


def start(offered: str = "PLAIN AMQPLAIN") -> Method:
    return said(10, "ooFSS", 0, 9, {"product": "RabbitMQ", "version": "3.10.8"}, offered, "en_US")


TUNE = said(30, "BlB", 2047, 131072, 60)
OPEN_OK = said(41, "s", "")


def handshake() -> Handshake:
    return Handshake(Login("media", mechanisms(None, "ada", "secret"), {"product": "kombu_green"}), Tuning())


def answers(shaking: Handshake, *events: Event) -> list[tuple[int, bytes]]:
    """The methods it answers with: number and arguments."""
    stream = b"".join(shaking.received(event) for event in events)
    found = FrameParser(131072).feed(stream)
    return [(event.method & 0xFFFF, event.arguments) for event in found if isinstance(event, Method)]


def test_all_steps() -> None:
    shaking = handshake()
    start_ok, tune_ok, opening = answers(shaking, start(), TUNE)
    assert shaking.waiting_for == "connection.open-ok"
    assert start_ok[0] == 11
    (properties, mechanism, response, _), _ = loads("FsSs", start_ok[1], 0)
    assert properties["product"] == "kombu_green"
    assert properties["capabilities"]["authentication_failure_close"] is True
    assert (mechanism, response) == ("PLAIN", "\0ada\0secret")
    assert (tune_ok[0], loads("BlB", tune_ok[1], 0)[0]) == (31, [2047, 131072, 10])
    assert (opening[0], loads("ssb", opening[1], 0)[0]) == (40, ["media", "", False])
    assert shaking.received(OPEN_OK) == b""
    assert shaking.done
    assert shaking.server_properties["version"] == "3.10.8"


@pytest.mark.parametrize(
    ("ours", "theirs", "agreed"),
    [
        ((2047, 131072, 10), (2047, 131072, 60), (2047, 131072, 10)),
        ((2047, 131072, 60), (100, 4096, 10), (100, 4096, 10)),
        ((2047, 131072, 10), (0, 0, 0), (2047, 131072, 10)),
        ((2047, 131072, 0), (2047, 131072, 60), (2047, 131072, 0)),
    ],
)
def test_tuning(ours: tuple[int, int, int], theirs: tuple[int, int, int], agreed: tuple[int, int, int]) -> None:
    assert Tuning(*ours).agreed(*theirs) == Tuning(*agreed)


@pytest.mark.parametrize("before", [[], [start()], [start(), TUNE]])
@pytest.mark.parametrize(("code", "kind"), [(403, AccessRefused), (530, AccessRefused), (320, ConnectionLost)])
def test_a_refusal_at_any_step(before: list[Event], code: int, kind: type[Exception]) -> None:
    shaking = handshake()
    answers(shaking, *before)
    with pytest.raises(kind, match="because"):
        shaking.received(said(50, "BsBB", code, "because", 0, 0))


def test_no_common_way_to_log_in() -> None:
    with pytest.raises(AccessRefused, match=r"EXTERNAL.*PLAIN"):
        handshake().received(start("EXTERNAL"))


@pytest.mark.parametrize("before", [[], [start()], [start(), TUNE]])
@pytest.mark.parametrize(
    "event", [said(99, ""), said(51, ""), Method(1, CONNECTION | 10, b""), Confirmed(0, 1, False, True)]
)
def test_anything_else_breaks_the_protocol(before: list[Event], event: Event) -> None:
    shaking = handshake()
    answers(shaking, *before)
    with pytest.raises(ProtocolError, match=r"something else than connection\."):
        shaking.received(event)


@pytest.mark.parametrize("raw", [b"", b"\0\x09", b"\0\x09\0\0\0\xff", b"\0\x09\0\0\0\0\0\0\0\xffPLAIN"])
def test_a_malformed_start(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        handshake().received(Method(0, CONNECTION | 10, raw))


def test_login_methods() -> None:
    (external,) = mechanisms("external", "ada", "secret")
    assert external.mechanism == b"EXTERNAL"
    with pytest.raises(ValueError, match="PLAIN, AMQPLAIN, EXTERNAL"):
        mechanisms("KERBEROS", "ada", "secret")


@pytest.mark.parametrize("frame_max", [1, 8, 20, 4095])
def test_frames_that_hold_next_to_nothing_are_refused(frame_max: int) -> None:
    shaking = handshake()
    shaking.received(start())
    with pytest.raises(ProtocolError, match=f"frames of {frame_max} bytes"):
        shaking.received(said(30, "BlB", 2047, frame_max, 60))
