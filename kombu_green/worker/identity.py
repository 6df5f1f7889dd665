"""What a message is known by, however often it is delivered: whoever it has killed knows it again.

Its message id; else the number that its store has given it; else what it consists of.  kombu sets no id, and neither do
we, so that on AMQP most messages are known by their bytes.
"""

from __future__ import annotations

from kombu_green.message import Message

__all__ = ["identify"]


def identify(queue: str, message: Message) -> bytes:
    """What the key of *message* is made of by :func:`kombu_green.control.recorder.key_of`: the same at each delivery,
    and another one in another queue.

    Messages that are the same to the last byte and have no id share one.  It is longer than a key, and so never taken
    for one.
    """
    id = message.properties.get("message_id")
    stored_as = message.delivery_info.get("stored_as")
    if id:
        return f"{queue}\0known by its message id\0{id}".encode("utf-8", "surrogatepass")
    if stored_as is not None:
        return f"{queue}\0known by its store's number\0{stored_as}".encode("utf-8", "surrogatepass")
    return f"{queue}\0known by all of its bytes\0".encode("utf-8", "surrogatepass") + message.fingerprint()
