"""What a message is known by, however often it is delivered: whoever it has killed knows it again.

Its message id; else the number that its store has given it; else what it consists of.  kombu sets no id, and neither do
we, so that on AMQP most messages are known by their bytes.
"""

from __future__ import annotations

from functools import lru_cache

from kombu_green.message import Message

__all__ = ["identify"]


def identify(queue: str, message: Message) -> bytes:
    """What the key of *message* is made of by :func:`kombu_green.control.recorder.key_of`: the same at each delivery,
    and another one in another queue.

    Messages that are the same to the last byte and have no id share one.  It is longer than a key, and so never taken
    for one.
    """
    by_id, by_number, by_bytes = _beginnings(queue)
    id = message.properties.get("message_id")
    if id:
        return by_id + str(id).encode("utf-8", "surrogatepass")
    stored_as = message.delivery_info.get("stored_as")
    if stored_as is not None:
        return by_number + str(stored_as).encode("utf-8", "surrogatepass")
    return b"".join((by_bytes, *message.fingerprint()))


@lru_cache(1024)
def _beginnings(queue: str) -> tuple[bytes, bytes, bytes]:
    by_id, by_number, by_bytes = (
        f"{queue}\0known by {what}\0".encode("utf-8", "surrogatepass")
        for what in ("its message id", "its store's number", "all of its bytes")
    )
    return by_id, by_number, by_bytes
