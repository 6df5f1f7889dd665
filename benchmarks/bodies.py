"""The bodies that every peer sends: 1 KiB of JSON, with the fields and types of a real job."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["SIZE", "body"]

#: bytes of the encoded body, give or take what a codec puts between its fields
SIZE: Final = 1024

_TEXT: Final = "A picture of the harbour, taken at noon from the third pier; the water is calm. " * 9


def body(number: int) -> dict[str, Any]:
    """A body of its own for each message, so that nothing can be encoded once for all."""
    return {
        "id": number,
        "path": f"/srv/media/incoming/{number:08d}.jpg",
        "kind": "image/jpeg",
        "width": 4032,
        "height": 3024,
        "taken": 1_700_000_000.25 + number,
        "sizes": [64, 128, 256, 512, 1024],
        "owner": {"name": "Ada", "team": "harbour", "admin": False, "quota": None},
        "tags": ["water", "ships", "noon", "calm"],
        "note": _TEXT,
    }
