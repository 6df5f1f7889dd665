"""Publishing a delivered message again: for its next attempt, back into its queue, as a dead letter, or from there.

The caller acks the delivery after one of these functions has returned: by then the broker has the new message, so that
a crash between the two leaves the message twice and never loses it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Final, Protocol

from kombu_green.channel import QueueDeclared
from kombu_green.clock import Deadline, deadline_scope
from kombu_green.dispatch.history import (
    MessageOrigin,
    attempt_of,
    bare,
    headers_for_dead_letter,
    headers_for_requeue,
    headers_for_retry,
    headers_for_return,
    properties_for,
    without_traceback,
)
from kombu_green.dispatch.outcome import Failure
from kombu_green.exceptions import EncodeError, NotFound
from kombu_green.message import Content, Message

__all__ = [
    "DEAD_SUFFIX",
    "PublishingChannel",
    "dead_letter",
    "dead_queue",
    "origin_in",
    "publish_retry",
    "put_back",
    "return_dead_letter",
]

log = logging.getLogger(__name__)

DEAD_SUFFIX: Final = ".dead"
_NEVER: Final = Deadline.never()


class PublishingChannel(Protocol):
    """The two methods of a :class:`~kombu_green.channel.Channel` that are needed here."""

    def queue_declare(self, queue: str = "", *, passive: bool = False, durable: bool = True) -> QueueDeclared: ...

    def basic_publish(
        self,
        content: Content,
        exchange: str = "",
        routing_key: str = "",
        *,
        mandatory: bool = False,
        delay: float = 0.0,
        deadline: Deadline = ...,
    ) -> None: ...


def dead_queue(queue: str) -> str:
    """The name of the queue that keeps the dead letters of *queue*."""
    return queue + DEAD_SUFFIX


def origin_in(queue: str, message: Message) -> MessageOrigin:
    """How *message* was delivered from *queue*."""
    info = message.delivery_info
    return MessageOrigin(queue, info.get("exchange") or "", info.get("routing_key") or "")


def publish_retry(
    channel: PublishingChannel,
    message: Message,
    queue: str,
    *,
    delay: float = 0.0,
    failure: Failure | None = None,
    deadline: Deadline = _NEVER,
) -> None:
    """Publish *message* to *queue* for its next attempt, which begins in *delay* seconds.

    Raises :exc:`~kombu_green.exceptions.EncodeError` when its headers leave no room for ours, and
    :exc:`~kombu_green.exceptions.Unroutable` when the queue is not there any more.
    """
    headers = headers_for_retry(
        message.headers,
        origin=origin_in(queue, message),
        attempt=attempt_of(message.headers, queue),
        now=time.time(),
        failure=failure,
        properties=message.properties,
    )
    _publish_again(channel, message, queue, headers, delay=delay, deadline=deadline)


def put_back(channel: PublishingChannel, message: Message, queue: str, *, deadline: Deadline = _NEVER) -> None:
    """Publish *message*, which is acked already, to *queue* as it was delivered: the same attempt again.

    Raises the same errors as :func:`publish_retry`.
    """
    headers = headers_for_requeue(message.headers, origin=origin_in(queue, message), properties=message.properties)
    _publish_again(channel, message, queue, headers, deadline=deadline)


def dead_letter(
    channel: PublishingChannel,
    message: Message,
    queue: str,
    *,
    reason: str,
    failure: Failure | None = None,
    deadline: Deadline = _NEVER,
) -> None:
    """Publish *message* to the dead-letter queue of *queue*, which is declared when it is not there.

    One that was declared with other arguments (a time to live, another type of queue) is used as it is.

    Its headers have the reason, exception, traceback, attempts and origin: see :mod:`kombu_green.dispatch.history`.
    If they are too large for the broker, or cannot be encoded, the body is kept with the shortest of our headers.
    """
    name = dead_queue(queue)
    headers = headers_for_dead_letter(
        message.headers,
        origin=origin_in(queue, message),
        attempt=attempt_of(message.headers, queue),
        now=time.time(),
        reason=reason,
        failure=failure,
        properties=message.properties,
    )
    properties = properties_for(message.properties, keep_expiration=False)
    with deadline_scope(deadline):
        try:
            channel.queue_declare(name, passive=True)
        except NotFound:
            channel.queue_declare(name, durable=True)
    try:
        _publish_again(channel, message, name, headers, properties, deadline=deadline)
    except EncodeError as error:
        log.warning("%s: a message is kept without its properties, which cannot be published again: %s", name, error)
        shortest = bare(headers, properties)
        _publish_again(channel, message, name, shortest, {"delivery_mode": 2}, deadline=deadline)


def return_dead_letter(
    channel: PublishingChannel, message: Message, queue: str, *, by: str, deadline: Deadline = _NEVER
) -> None:
    """Publish *message*, a dead letter, to *queue* again; *by* is who asked for it (``user@host``).

    It gets all attempts of the retry policy again, and its history stays: see
    :func:`kombu_green.dispatch.history.headers_for_return`.  Raises :exc:`~kombu_green.exceptions.Unroutable` when the
    queue is not there any more.
    """
    headers = headers_for_return(message.headers, queue=queue, now=time.time(), by=by)
    try:
        _publish_again(channel, message, queue, headers, deadline=deadline)
    except EncodeError:  # another client's headers may fill the frame: ours have one that is long
        _publish_again(channel, message, queue, without_traceback(headers), deadline=deadline)


def _publish_again(
    channel: PublishingChannel,
    message: Message,
    queue: str,
    headers: dict[str, Any],
    properties: Mapping[str, Any] | None = None,
    *,
    delay: float = 0.0,
    deadline: Deadline,
) -> None:
    """Publish the body of *message* to *queue*, confirmed; *properties* are the message's own unless given."""
    kept = properties_for(message.properties) if properties is None else dict(properties)
    content = Content(message.body, message.content_type, message.content_encoding, headers, kept)
    channel.basic_publish(content, "", queue, mandatory=True, delay=delay, deadline=deadline)
