"""What a message is known by, however often it is delivered: whoever it has killed knows it again.

Its message id; else the number that its store has given it; else what it consists of.  kombu sets no id, and neither do
we, so that on AMQP most messages are known by their bytes.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final

from kombu_green.message import Message

__all__ = ["KEY_SIZE", "identify"]

KEY_SIZE: Final = 16


def identify(queue: str, message: Message) -> bytes:
    """The key of *message* among those of all queues: 16 bytes, the same at each delivery.

    Messages that are the same to the last byte and have no id share one.
    """
    id = message.properties.get("message_id")
    stored_as = message.delivery_info.get("stored_as")
    if id:
        seed = f"{queue}\0id\0{id}".encode("utf-8", "surrogateescape")
    elif stored_as is not None:
        seed = f"{queue}\0stored as\0{stored_as}".encode()
    else:
        seed = queue.encode() + message.fingerprint()
    return sha1(seed, usedforsecurity=False).digest()[:KEY_SIZE]
