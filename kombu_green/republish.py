"""Where messages go that nobody can handle: ``<queue>.dead``, whole, with the reason; and how they come back.

Nothing is lost in silence.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from kombu_green.channel import Channel
from kombu_green.clock import Deadline
from kombu_green.dispatch.history import (
    Origin,
    attempt_of,
    bare,
    buried,
    properties_for,
    revived,
    without_traceback,
)
from kombu_green.dispatch.outcome import Failure
from kombu_green.exceptions import EncodeError
from kombu_green.message import Content, Message

__all__ = ["DEAD_SUFFIX", "dead_letter", "dead_queue", "origin_in", "requeue_dead_letter"]

log = logging.getLogger(__name__)

DEAD_SUFFIX: Final = ".dead"
_NEVER: Final = Deadline.never()


def dead_queue(queue: str) -> str:
    """The name of the queue that keeps what failed in *queue*."""
    return queue + DEAD_SUFFIX


def origin_in(queue: str, message: Message) -> Origin:
    """How *message* was delivered from *queue*."""
    info = message.delivery_info
    return Origin(queue, info.get("exchange") or "", info.get("routing_key") or "")


def dead_letter(
    channel: Channel,
    message: Message,
    queue: str,
    *,
    reason: str,
    failure: Failure | None = None,
    deadline: Deadline = _NEVER,
) -> None:
    """Publish *message* as it came to the dead queue of *queue*, which is declared; the caller acks it afterwards.

    Its headers say the reason, exception, traceback, attempts and origin: see :mod:`kombu_green.dispatch.history`.
    When the broker does not take them beside its own, the body and the bare account are kept.
    """
    name = dead_queue(queue)
    headers = buried(
        message.headers,
        origin=origin_in(queue, message),
        attempt=attempt_of(message.headers, queue),
        now=time.time(),
        reason=reason,
        failure=failure,
        properties=message.properties,
    )
    properties = properties_for(message.properties, burial=True)
    content = Content(message.body, message.content_type, message.content_encoding, headers, properties)
    channel.queue_declare(name, durable=True)
    try:
        channel.basic_publish(content, "", name, mandatory=True, deadline=deadline)
    except EncodeError as error:
        log.warning("%s: a message is kept without its properties, which cannot be published again: %s", name, error)
        content.headers, content.properties = bare(headers, properties), {"delivery_mode": 2}
        channel.basic_publish(content, "", name, mandatory=True, deadline=deadline)


def requeue_dead_letter(
    channel: Channel, message: Message, queue: str, *, by: str, deadline: Deadline = _NEVER
) -> None:
    """Publish *message*, a dead letter, to *queue* again, confirmed; the caller acks it afterwards.

    It is tried as often as the policy says, and its history goes with it: see
    :func:`kombu_green.dispatch.history.revived`.  Raises :exc:`~kombu_green.exceptions.Unroutable` when the queue is
    not there any more.
    """
    headers = revived(message.headers, queue=queue, now=time.time(), by=by)
    properties = properties_for(message.properties, burial=False)
    content = Content(message.body, message.content_type, message.content_encoding, headers, properties)
    try:
        channel.basic_publish(content, "", queue, mandatory=True, deadline=deadline)
    except EncodeError:
        content.headers = without_traceback(headers)  # a foreign producer's own may fill the frame
        channel.basic_publish(content, "", queue, mandatory=True, deadline=deadline)
