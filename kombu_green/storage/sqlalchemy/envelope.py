"""A message's row: the body as it is, and everything beside it as one piece of extended JSON."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from kombu_green import extended_json
from kombu_green.exceptions import DecodeError, EncodeError
from kombu_green.message import Content
from kombu_green.storage.contract import Put, Reserved
from kombu_green.storage.sqlalchemy.putting import Deposit
from kombu_green.storage.sqlalchemy.taking import Taken

__all__ = ["decoded", "encoded"]

log = logging.getLogger(__name__)


def encoded(item: Put) -> Deposit:
    """:exc:`~kombu_green.exceptions.EncodeError` for a header or property that JSON cannot hold."""
    content = item.content
    parts = [item.exchange, item.routing_key, content.content_type, content.content_encoding]
    envelope = extended_json.dumps([*parts, content.headers, content.properties])
    if b'"__type__"' in envelope:
        _check(envelope)
    return Deposit(item.queue, item.priority, item.delay, item.expires, envelope, bytes(content.body))


def _check(envelope: bytes) -> None:
    """A header that only looks like a marked type would be found out by the consumer, for whom it is too late."""
    try:
        extended_json.loads(envelope)
    except DecodeError as error:
        raise EncodeError(f"a header has the shape of an extended type: {error}") from error


def decoded(taken: Taken) -> Reserved:
    """Never fails: a message that could not be handed out would come back for ever."""
    exchange, routing_key, content_type, content_encoding, headers, properties = _parts(taken)
    content = Content(taken.body, content_type, content_encoding, headers, properties)
    return Reserved(taken.receipt, content, exchange, routing_key, taken.priority, taken.takes, taken.expires)


def _parts(taken: Taken) -> Sequence[Any]:
    try:
        parts: Sequence[Any] = extended_json.loads(taken.envelope)
    except DecodeError as error:
        log.error("message %d of queue %r has lost its headers: %s", taken.receipt.id, taken.receipt.queue, error)
        return "", taken.receipt.queue, None, None, {}, {}
    return parts
