"""Where ``kombu-worker status`` asks a launcher: a unix socket in its state folder, named for its pid.

A client sends nothing and receives one JSON document.  The launcher's loop never waits for a client: what does not fit
into the socket's buffer is sent when there is room again, and a client that does not read in time is disconnected.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from kombu_green.ipc.messages import Heartbeat
from kombu_green.ipc.recorder import Row, RowState
from kombu_green.launcher.child import Child
from kombu_green.launcher.death_rules import DeathRecord
from kombu_green.launcher.limits import resident_memory
from kombu_green.launcher.process_slot import ProcessSlot
from kombu_green.launcher.rolling_restart import ReloadReport
from kombu_green.launcher.state_folder import socket_address, socket_path
from kombu_green.plugins import load

__all__ = ["StatusConnection", "StatusServer", "status_document", "summed"]

log = logging.getLogger("kombu_green.launcher")

_MOST: Final = 16  # connections at a time; further ones are closed
_MOST_ROWS: Final = 1000  # messages that run in one process and are listed
_READ_WITHIN: Final = 2.0  # seconds for a client to read the document


class StatusConnection:
    """A client that is being answered; *close* is called with it when that is over."""

    def __init__(self, connection: socket.socket, document: bytes, close: Callable[[StatusConnection], None]) -> None:
        self.connection: Final = connection
        self.close_at: Final = time.monotonic() + _READ_WITHIN
        self._unsent = memoryview(document)
        self._close: Final = close

    def on_ready(self) -> None:
        """Send as much as there is room for."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.connection.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:  # the client has gone
            pass
        self._close(self)


class StatusServer:
    """Listens at ``PID.sock`` in *folder* while it is entered; *document* returns what each client receives."""

    def __init__(
        self, folder: Path, document: Callable[[], Mapping[str, Any]], selector: selectors.BaseSelector
    ) -> None:
        self.path: Final = socket_path(folder, os.getpid())
        self._document: Final = document
        self._selector: Final = selector
        self._connections: Final[set[StatusConnection]] = set()
        self._listener: Final = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Self:
        """When it is not possible to listen the log says so, and the launcher runs without it."""
        self._listener.setblocking(False)
        try:
            _listen(self._listener, self.path)
        except OSError as error:
            fields = {"event": "no status", "path": str(self.path)}
            log.warning("status is not served: %s: %s", self.path, error.strerror or error, extra=fields)
            self._listener.close()
        else:
            self._selector.register(self._listener, selectors.EVENT_READ, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in list(self._connections):
            self._close(connection)
        if self._listener.fileno() >= 0:
            self._selector.unregister(self._listener)
            self._listener.close()
            with suppress(OSError):
                self.path.unlink()

    def on_ready(self) -> None:
        """Accept the clients that have connected, and answer them."""
        for _ in range(_MOST):
            try:
                accepted, _ = self._listener.accept()
            except OSError:  # there are no more
                return
            accepted.setblocking(False)
            if len(self._connections) >= _MOST:
                accepted.close()
                continue
            connection = StatusConnection(accepted, json.dumps(self._document()).encode(), self._close)
            self._connections.add(connection)
            self._selector.register(accepted, selectors.EVENT_WRITE, connection)
            connection.on_ready()

    def close_late(self) -> None:
        """Disconnect the clients that have not read in time."""
        now = time.monotonic()
        for connection in [connection for connection in self._connections if connection.close_at <= now]:
            self._close(connection)

    def _close(self, connection: StatusConnection) -> None:
        self._connections.discard(connection)
        self._selector.unregister(connection.connection)
        connection.connection.close()


def _listen(listener: socket.socket, path: Path) -> None:
    """Listen at *path*, under another name at first: a client removes a socket that does not accept connections."""
    new = path.with_name(f".{path.name}")
    with suppress(FileNotFoundError):
        new.unlink()
    with socket_address(new) as address:
        listener.bind(address)
    new.chmod(0o600)
    listener.listen(_MOST)
    new.rename(path)


def status_document(
    slots: Iterable[ProcessSlot],
    *,
    file: Path | None,
    mode: str,
    running: bool,
    started_at: float,
    messages: Mapping[str, int],
    ended: Heartbeat = Heartbeat(),  # noqa: B008  immutable
    last_reload: ReloadReport | None = None,
    records: Sequence[tuple[str, DeathRecord]] = (),
) -> dict[str, Any]:
    """What a launcher tells of itself and its processes, as JSON can hold it.

    The keys are ``pid version file uptime mode ready messages totals last_reload blamed processes``.  Times are in
    seconds, sizes in bytes; *started_at* is on the monotonic clock.  *messages* counts those that deaths were
    attributed to, and *records* has the latest of them.  *ended* has the counters of the children that have ended.
    ``ready`` is true while the launcher is *running* and every process slot has a process that serves.
    """
    slots = list(slots)
    total = ended
    for slot in slots:
        for child in slot.children():
            total = summed(total, child.counters)
    return {
        "pid": os.getpid(),
        "version": load("kombu_green:__version__"),
        "file": None if file is None else str(file.resolve()),
        "uptime": _seconds_since(started_at),
        "mode": mode,
        "ready": running and all(_serves(slot) for slot in slots if not slot.retired),
        "messages": dict(messages),
        "totals": {"handled": total.handled, "retried": total.retried, "dead_lettered": total.dead_lettered},
        "last_reload": None if last_reload is None else _reload_entry(last_reload),
        "blamed": [_record_entry(key, record) for key, record in records],
        "processes": [entry for slot in slots for entry in _slot_entries(slot)],
    }


def summed(one: Heartbeat, other: Heartbeat) -> Heartbeat:
    """The messages that two processes have handled, together; what runs now does not count."""
    return Heartbeat(
        0, one.handled + other.handled, one.retried + other.retried, one.dead_lettered + other.dead_lettered
    )


def _reload_entry(report: ReloadReport) -> dict[str, Any]:
    return {"outcome": report.outcome, "reason": report.reason, "age": _seconds_since(report.at)}


def _record_entry(key: str, record: DeathRecord) -> dict[str, Any]:
    return {
        "key": key,
        "id": record.message_id,
        "queue": record.queue,
        "callback": record.callback,
        "blames": record.blames,
        "marks": record.marks,
        "age": round(max(0.0, time.time() - record.seen), 1),
        "reasons": list(record.reasons),
    }


def _row_entry(row: Row, hub: int) -> dict[str, Any]:
    return {
        "key": row.key.hex(),
        "id": row.message_id,
        "queue": row.queue,
        "callback": row.callback,
        "age": _seconds_since(row.since),
        "in_thread": row.state is RowState.OFFLOADED,
        "has_hub": row.number == hub,
    }


def _serves(slot: ProcessSlot) -> bool:
    return slot.child is not None and slot.child.lifecycle.serving


def _slot_entries(slot: ProcessSlot) -> Iterable[dict[str, Any]]:
    """One entry for each child of *slot*; one without a pid when there is none."""
    ends = {"restarts": slot.restarts, "last_end": slot.last_end}
    children = list(slot.children())
    if not children:
        starts_in = None if slot.start_at is None else max(0.0, round(slot.start_at - time.monotonic(), 1))
        yield {"process": slot.number, "pid": None, "phase": "waiting", "starts_in": starts_in, **ends}
    for child in children:
        yield {"process": slot.number, "role": slot.role_of(child), **_child_entry(child), **ends}


def _child_entry(child: Child) -> dict[str, Any]:
    lifecycle, counters = child.lifecycle, child.counters
    heartbeat = lifecycle.last_heartbeat
    rows, hub = child.process.recorder.rows(), child.process.recorder.hub
    return {
        "pid": child.pid,
        "phase": str(lifecycle.state),
        "phase_age": _seconds_since(lifecycle.entered_at),
        "away": child.away or None,
        "age": _seconds_since(lifecycle.started_at),
        "heartbeat_age": None if heartbeat is None else _seconds_since(heartbeat),
        "running": max(counters.running, len(rows)),  # of a process that hangs the last heartbeat may say 0
        "messages": [_row_entry(row, hub) for row in rows[:_MOST_ROWS]],
        "handled": counters.handled,
        "retried": counters.retried,
        "dead_lettered": counters.dead_lettered,
        "memory": resident_memory(child.pid),
    }


def _seconds_since(then: float) -> float:
    return round(max(0.0, time.monotonic() - then), 1)
