"""The options of an AMQP URL."""

from __future__ import annotations

from typing import Any

import pytest

from kombu_green.exceptions import UnsupportedOption
from kombu_green.transport.amqp.options import AMQPSettings, read_settings
from kombu_green.url import BrokerURL


def settings(url: str = "amqp://", **options: Any) -> AMQPSettings:
    parsed = BrokerURL.parse(url)
    return read_settings(parsed, {**parsed.options, **options})


def test_what_a_url_leaves_out() -> None:
    address = settings().address
    assert (address.host, address.port, address.login.virtual_host) == ("localhost", 5672, "/")
    assert address.login.mechanisms[0].start(None) == b"\0guest\0guest"
    assert settings().confirm


def test_a_whole_url() -> None:
    address = settings(
        "amqp://ada:s%40crt@broker:1234/me%2Fdia?heartbeat=2.4&answer_timeout=1.5&frame_max=8192"
    ).address
    assert (address.host, address.port, address.login.virtual_host) == ("broker", 1234, "me/dia")
    assert (address.tuning.heartbeat, address.answer_within, address.tuning.frame_max) == (2, 1.5, 8192)
    assert address.login.mechanisms[0].start(None) == b"\0ada\0s@crt"
    assert "s@crt" not in address.name
    assert "s@crt" not in repr(address)


@pytest.mark.parametrize(("given", "expected"), [("no", False), ("1", True), (False, False), ("ON", True)])
@pytest.mark.parametrize("name", ["confirm", "confirm_publish"])
def test_confirms_can_be_turned_off(name: str, given: Any, expected: bool) -> None:
    assert settings(**{name: given}).confirm is expected


@pytest.mark.parametrize(("given", "expected"), [(0, 0), ("0.2", 1), (10, 10)])
def test_a_heartbeat_that_was_asked_for_is_never_rounded_to_none(given: Any, expected: int) -> None:
    assert settings(heartbeat=given).address.tuning.heartbeat == expected


def test_exchange_types_of_plugins() -> None:
    assert settings(exchange_types="x-random, x-consistent-hash").exchange_types == ("x-random", "x-consistent-hash")
    assert settings(exchange_types=["x-random"]).exchange_types == ("x-random",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hartbeat": 1}, "did you mean 'heartbeat'"),
        ({"heartbeat": "often"}, "'heartbeat': 'often'"),
        ({"heartbeat": -1}, "not less than 0"),
        ({"confirm": "perhaps"}, "write yes or no"),
        ({"frame_max": 100}, "4096"),
        ({"channel_max": 0}, "1 to 65535"),
        ({"answer_timeout": 0}, "more than 0"),
        ({"login_method": "KERBEROS"}, "'login_method': there is no"),
    ],
)
def test_mistakes_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedOption, match=message):
        settings(**options)


def test_what_every_transport_is_given_is_no_mistake() -> None:
    settings(lease=60.0)
