"""Where the launcher answers whoever asks how it is: a unix socket in its state folder, named by its pid.

A visitor says nothing and gets one JSON document.  The launcher's loop never waits for one: what the socket's buffer
does not take is written when there is room again, and a visitor that does not read in time is left standing.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

__all__ = ["SUFFIX", "Reception", "Visitor", "reachable"]

log = logging.getLogger("kombu_green.launcher")

SUFFIX: Final = ".sock"
_MOST: Final = 16  # visitors at a time; others find a closed door
_PATIENCE: Final = 2.0  # seconds for a visitor to read
_LONGEST_PATH: Final = 100  # bytes; the kernel takes 108, with what is put before the name while it is made


class Visitor:
    """Somebody who is being answered; *part* is called when that is over."""

    def __init__(self, connection: socket.socket, answer: bytes, part: Callable[[Visitor], None]) -> None:
        self.connection: Final = connection
        self.until: Final = time.monotonic() + _PATIENCE
        self._unsent = memoryview(answer)
        self._part: Final = part

    def hear(self, selector: selectors.BaseSelector) -> None:
        """There is room: write what fits."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.connection.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:  # it is gone
            pass
        self._part(self)


class Reception:
    """Listens at ``PID.sock`` in *folder* while it is entered; *tell* gives what every visitor is told."""

    def __init__(self, folder: Path, tell: Callable[[], Mapping[str, Any]], selector: selectors.BaseSelector) -> None:
        self.path: Final = folder / f"{os.getpid()}{SUFFIX}"
        self._tell: Final = tell
        self._selector: Final = selector
        self._visitors: Final[set[Visitor]] = set()
        self._listener: Final = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Self:
        """Where it is not possible to listen the log says so, and everything else goes on."""
        self._listener.setblocking(False)
        try:
            _listen(self._listener, self.path)
        except OSError as error:
            said = {"event": "no status", "path": str(self.path)}
            log.warning("status is not served: %s: %s", self.path, error.strerror or error, extra=said)
            self._listener.close()
        else:
            self._selector.register(self._listener, selectors.EVENT_READ, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for visitor in list(self._visitors):
            self._part(visitor)
        if self._listener.fileno() >= 0:
            self._selector.unregister(self._listener)
            self._listener.close()
            with suppress(OSError):
                self.path.unlink()

    def hear(self, selector: selectors.BaseSelector) -> None:
        """Answer whoever came."""
        for _ in range(_MOST):
            try:
                connection, _ = self._listener.accept()
            except OSError:  # nobody is there any more
                return
            connection.setblocking(False)
            if len(self._visitors) >= _MOST:
                connection.close()
                continue
            visitor = Visitor(connection, json.dumps(self._tell()).encode(), self._part)
            self._visitors.add(visitor)
            selector.register(connection, selectors.EVENT_WRITE, visitor)
            visitor.hear(selector)

    def tidy(self) -> None:
        """Leave those that do not read."""
        now = time.monotonic()
        for visitor in [visitor for visitor in self._visitors if visitor.until <= now]:
            self._part(visitor)

    def _part(self, visitor: Visitor) -> None:
        self._visitors.discard(visitor)
        self._selector.unregister(visitor.connection)
        visitor.connection.close()


def _listen(listener: socket.socket, path: Path) -> None:
    """Be found at *path* once somebody listens there, and not before: who finds a deaf socket takes it away."""
    new = path.with_name(f".{path.name}")
    with suppress(FileNotFoundError):
        new.unlink()
    with reachable(new) as name:
        listener.bind(name)
    listener.listen(_MOST)
    new.rename(path)


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A name for *path* that fits into a socket's address, which is short.  Source: unix(7), proc(5)."""
    if len(os.fsencode(path)) <= _LONGEST_PATH or not Path("/proc/self/fd").is_dir():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
