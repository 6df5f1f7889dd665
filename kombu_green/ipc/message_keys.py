"""What a message is known by, however often it is delivered, and the key that is made of that.

An *origin* is the name of the queue and by what the message is known, and then that itself.  Its digest is the
message's *key*.  To copy a kilobyte takes a tenth of the time of digesting it, and a key is wanted after a death alone:
so origins are written down, and whoever reads them makes the key.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

__all__ = ["BY_BYTES", "BY_ID", "BY_NUMBER", "KEY_SIZE", "beginning", "id_in", "key_of"]

BY_ID: Final = b"\0known by its message id\0"
BY_NUMBER: Final = b"\0known by its store's number\0"
BY_BYTES: Final = b"\0known by all of its bytes\0"

KEY_SIZE: Final = 16

_SHOWN: Final = 64  # bytes of an id


def beginning(queue: str, by: bytes) -> bytes:
    """How the origins begin of the messages of *queue* that are known *by* one of the three."""
    return queue.encode("utf-8", "surrogatepass") + by


def key_of(origin: bytes) -> bytes:
    """The 16 bytes of the key that comes of *origin*, which is always longer; of a key the key itself."""
    return origin if len(origin) == KEY_SIZE else blake2b(origin, digest_size=KEY_SIZE).digest()


def id_in(origin: bytes) -> str:
    """The message id that *origin* has, shortened; empty when it is known by something else."""
    at = origin.find(b"\0")
    if at < 0 or not origin.startswith(BY_ID, at):
        return ""
    return origin[at + len(BY_ID) :][:_SHOWN].decode("utf-8", "replace")
