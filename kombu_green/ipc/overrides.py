"""The settings of the launcher's command line on their way to a child, in a file without a path.

They are not in the child's command line, which every user of the machine can read: a broker's URL has a password.
All children get the same descriptor, so it is read without moving its offset.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from kombu_green.ipc.recorder import anonymous_file

__all__ = ["read_overrides", "write_overrides"]


def write_overrides(overrides: Sequence[str]) -> int:
    """The descriptor of a new file that holds *overrides*, each ``section.key=value``."""
    fd = anonymous_file("kombu-worker-settings")
    with open(os.dup(fd), "w", encoding="utf-8", errors="surrogateescape") as stream:
        json.dump(list(overrides), stream, ensure_ascii=False)
    return fd


def read_overrides(fd: int) -> list[str]:
    """The overrides in the file *fd*, which is closed: what the child starts does not get it."""
    try:
        content = os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)
    overrides: list[str] = json.loads(content.decode("utf-8", "surrogateescape"))
    return overrides
