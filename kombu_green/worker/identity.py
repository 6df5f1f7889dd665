"""What a message is known by, however often it is delivered: whoever it has killed knows it again.

Its message id; else the number that its store has given it; else what it consists of.  kombu sets no id, and neither do
we, so that on AMQP most messages are known by their bytes.
"""

from __future__ import annotations

from typing import Final

from kombu_green.ipc.message_keys import BY_BYTES, BY_ID, BY_NUMBER, identity_prefix
from kombu_green.message import Message

__all__ = ["Identity"]


class Identity:
    """Knows the messages of *queue*; in another queue they are others."""

    __slots__ = ("_by_bytes", "_by_id", "_by_number")

    def __init__(self, queue: str) -> None:
        self._by_id: Final = identity_prefix(queue, BY_ID)
        self._by_number: Final = identity_prefix(queue, BY_NUMBER)
        self._by_bytes: Final = identity_prefix(queue, BY_BYTES)

    def origin(self, message: Message) -> bytes:
        """What the key of *message* is made of: the same at each delivery.

        Messages that are the same to the last byte and have no id share one.
        """
        id = message.properties.get("message_id")
        if id:
            return self._by_id + str(id).encode("utf-8", "surrogatepass")
        stored_as = message.delivery_info.get("stored_as")
        if stored_as is not None:
            return self._by_number + str(stored_as).encode("utf-8", "surrogatepass")
        properties, body = message.fingerprint()
        return self._by_bytes + properties + body
