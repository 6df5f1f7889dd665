"""How a message is recognised when it is delivered again: its identity, and the key that is made of it.

The *identity* of a message is a byte string: the name of its queue, what the message is recognised by (one of
:data:`BY_ID`, :data:`BY_NUMBER`, :data:`BY_BYTES`), and that itself.  The *message key* is the 16-byte digest of the
identity.  The worker process stores identities, because copying a kilobyte takes a tenth of the time of hashing it.
The launcher makes the key when it reads one, which it does only after a death.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

__all__ = ["BY_BYTES", "BY_ID", "BY_NUMBER", "KEY_SIZE", "identity_prefix", "message_id_in", "message_key"]

BY_ID: Final = b"\0known by its message id\0"
BY_NUMBER: Final = b"\0known by its store's number\0"
BY_BYTES: Final = b"\0known by all of its bytes\0"

#: bytes of a message key
KEY_SIZE: Final = 16

_ID_SHOWN: Final = 64  # bytes of a message id that are shown in the log


def identity_prefix(queue: str, by: bytes) -> bytes:
    """The start of the identity of every message of *queue* that is recognised *by* one of the three constants."""
    return queue.encode("utf-8", "surrogatepass") + by


def message_key(identity: bytes) -> bytes:
    """The key of *identity*: :data:`KEY_SIZE` bytes.

    An identity is always longer than a key.  What is as long as a key is one already, and is returned as it is.
    """
    return identity if len(identity) == KEY_SIZE else blake2b(identity, digest_size=KEY_SIZE).digest()


def message_id_in(identity: bytes) -> str:
    """The first 64 bytes of the message id in *identity*; empty when the message is recognised by something else."""
    at = identity.find(b"\0")
    if at < 0 or not identity.startswith(BY_ID, at):
        return ""
    return identity[at + len(BY_ID) :][:_ID_SHOWN].decode("utf-8", "replace")
