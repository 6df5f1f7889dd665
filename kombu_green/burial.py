"""Where messages go that nobody can handle: ``<queue>.dead``, whole, with the reason.  Nothing is lost in silence."""

from __future__ import annotations

import time
from typing import Final

from kombu_green.channel import Channel
from kombu_green.clock import Deadline
from kombu_green.dispatch.history import Origin, attempt_of, buried, properties_for
from kombu_green.dispatch.outcome import Failure
from kombu_green.message import Content, Message

__all__ = ["DEAD_SUFFIX", "bury", "dead_queue", "origin_in"]

DEAD_SUFFIX: Final = ".dead"
_NEVER: Final = Deadline.never()


def dead_queue(queue: str) -> str:
    """The name of the queue that keeps what failed in *queue*."""
    return queue + DEAD_SUFFIX


def origin_in(queue: str, message: Message) -> Origin:
    """How *message* was delivered from *queue*."""
    info = message.delivery_info
    return Origin(queue, info.get("exchange") or "", info.get("routing_key") or "")


def bury(
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
    channel.basic_publish(content, "", name, mandatory=True, deadline=deadline)
