"""What a launcher tells of itself before a process is started."""

from __future__ import annotations

import os
import time
from pathlib import Path

from kombu_green.launcher.process_slot import ProcessSlot
from kombu_green.launcher.status_server import status_document
from kombu_green.retry import Backoff


def test_a_slot_without_a_process_has_an_entry_and_is_not_ready() -> None:
    slot = ProcessSlot(2, Backoff(first=10.0, ceiling=10.0))
    slot.restart_later("it died")
    document = status_document(
        [slot],
        file=Path("w.ini"),
        mode="running",
        running=True,
        started_at=time.monotonic() - 5,
        messages={"parked": 1},
    )
    assert (document["pid"], document["mode"]) == (os.getpid(), "running")
    assert document["file"] == str(Path("w.ini").resolve())
    assert document["ready"] is False
    assert 5 <= document["uptime"] < 60
    assert document["messages"] == {"parked": 1}
    (entry,) = document["processes"]
    assert (entry["process"], entry["pid"], entry["phase"]) == (2, None, "waiting")
    assert (entry["restarts"], entry["last_end"]) == (1, "it died")
    assert 0 < entry["starts_in"] <= 10


def test_retired_slots_do_not_count_for_readiness() -> None:
    slot = ProcessSlot(1, Backoff())
    slot.retire()
    document = status_document(
        [slot], file=None, mode="running", running=True, started_at=time.monotonic(), messages={}
    )
    assert (document["ready"], document["file"]) == (True, None)
