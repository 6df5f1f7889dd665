"""Reply codes and texts of the broker as exceptions."""

from __future__ import annotations

import pytest

from kombu_green.exceptions import (
    AccessRefused,
    ChannelError,
    ConnectionLost,
    NotFound,
    OperationalError,
    PreconditionFailed,
    ResourceLocked,
    Unroutable,
)
from kombu_green.transport.amqp.protocol.errors import channel_error, connection_error, copy_error, missing_exchange


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (403, "ACCESS_REFUSED - access to queue 'q' in vhost '/' refused for user 'guest'", AccessRefused),
        (403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use", ResourceLocked),
        (404, "NOT_FOUND - no queue 'q' in vhost '/'", NotFound),
        (405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q'", ResourceLocked),
        (406, "PRECONDITION_FAILED - unknown delivery tag 7", PreconditionFailed),
        (311, "CONTENT_TOO_LARGE", ChannelError),
    ],
)
def test_channel_errors(code: int, text: str, kind: type[OperationalError]) -> None:
    error = channel_error(code, text)
    assert type(error) is kind
    assert str(error) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'a 'b'' in vhost '/': received the value"
            " '2000' of type 'signedint' but current is the value '1000' of type 'signedint'",
            "queue \"a 'b'\" exists with other arguments: x-message-ttl: there '1000', asked '2000'",
        ),
        (
            "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received none but"
            " current is the value '10' of type 'signedint'",
            "queue 'q' exists with other arguments: x-max-length: there '10', asked nothing",
        ),
        (
            "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received 'topic' but current"
            " is 'direct'",
            "exchange 'x' exists with other arguments: type: there 'direct', asked 'topic'",
        ),
        (
            "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current"
            " is 'true'",
            "queue 'q' exists with other arguments: durable: there 'true', asked 'false'",
        ),
    ],
)
def test_an_inequivalent_argument_is_put_as_other_transports_put_it(text: str, expected: str) -> None:
    assert str(channel_error(406, text)) == expected


@pytest.mark.parametrize(
    ("code", "opening", "kind"),
    [
        (403, True, AccessRefused),
        (530, True, AccessRefused),
        (402, True, AccessRefused),
        (530, False, ConnectionLost),
        (320, True, ConnectionLost),
        (541, False, ConnectionLost),
    ],
)
def test_connection_errors(code: int, opening: bool, kind: type[OperationalError]) -> None:
    assert type(connection_error(code, "TEXT", opening=opening)) is kind


def test_missing_exchange() -> None:
    assert missing_exchange("NOT_FOUND - no exchange 'it's' in vhost '/'") == "it's"
    assert missing_exchange("NOT_FOUND - no queue 'q' in vhost '/'") is None


def test_a_copy_has_its_own_traceback_and_the_original_as_its_cause() -> None:
    for error in (ConnectionLost("gone"), Unroutable("exchange", "key")):
        copy = copy_error(error)
        assert copy is not error
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert copy.__cause__ is error


def test_a_consumer_timeout_is_a_lost_connection_and_no_wrong_request() -> None:
    text = (
        "PRECONDITION_FAILED - delivery acknowledgement on channel 3 timed out. Timeout value used: 1800000 ms."
        " This timeout value can be configured, see consumers doc guide to learn more"
    )
    error = channel_error(406, text)
    assert type(error) is ConnectionLost
    assert "consumer_timeout" in str(error)
    assert "1800000 ms" in str(error)
