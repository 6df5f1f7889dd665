"""Blames on disk: shared by several parents, bounded, aged; a disk that does not work costs the memory alone."""

from __future__ import annotations

import fcntl
import json
import logging
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from kombu_green.ipc.recorder import Row, RowState
from kombu_green.launcher.death_records import DeathRecords
from kombu_green.launcher.death_rules import Attribution, AttributionReason


def attribution(number: int, reason: AttributionReason = AttributionReason.HAD_HUB) -> Attribution:
    row = Row(1, "jobs", "app:handle", number.to_bytes(16, "big"), "m", 0.0, 0.0, RowState.RUNNING)
    return Attribution(row, reason, "was ended by SIGSEGV")


KEY = attribution(1).key


def test_records_outlive_the_launcher(tmp_path: Path) -> None:
    DeathRecords(tmp_path).add([attribution(1), attribution(2, AttributionReason.RAN_BESIDE)])
    DeathRecords(tmp_path).add([attribution(1)])
    again = DeathRecords(tmp_path)
    known, other = again.get(KEY), again.get(attribution(2).key)
    assert known is not None
    assert other is not None
    assert (known.blames, known.marks) == (2, 0)
    assert known.reasons == ("had the hub when its process was ended by SIGSEGV",) * 2
    assert (other.blames, other.marks) == (0, 1)
    assert again.get(attribution(3).key) is None


def test_two_launchers_share_their_records(tmp_path: Path) -> None:
    first, second = DeathRecords(tmp_path), DeathRecords(tmp_path)
    first.add([attribution(1)])
    second.add([attribution(1)])
    first.add([attribution(1)])
    for records in (first, second):
        known = records.get(KEY)
        assert known is not None
        assert known.blames == 3
    second.forget(KEY)
    assert first.get(KEY) is None


def add_often(folder: Path) -> None:
    records = DeathRecords(folder)
    for _ in range(50):
        records.add([attribution(1)])
    while records._unwritten:
        records.write_changes()


def test_no_addition_is_lost_between_processes(tmp_path: Path) -> None:
    context = get_context("spawn")
    both = [context.Process(target=add_often, args=(tmp_path,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    known = DeathRecords(tmp_path).get(KEY)
    assert known is not None
    assert known.blames == 100


def test_the_oldest_records_are_dropped_first(tmp_path: Path) -> None:
    records = DeathRecords(tmp_path, kept=3)
    for number in (1, 2, 3):
        records.add([attribution(number)])
    records.add([attribution(1)])
    records.add([attribution(4)])
    assert [number for number in range(1, 5) if records.get(attribution(number).key)] == [1, 3, 4]


def test_the_format_of_the_file(tmp_path: Path) -> None:
    """Written by an earlier version, with a field that is not used any more."""
    old = {"blames": 2, "sure": 1, "marks": 0, "seen": time.time(), "words": ["had the hub"]}
    (tmp_path / "blames.json").write_text(json.dumps({"format": 1, "records": {KEY: old}}))
    DeathRecords(tmp_path).add([attribution(1)])
    written = json.loads((tmp_path / "blames.json").read_text())
    assert written["format"] == 1
    record = written["records"][KEY]
    assert record.keys() == {"blames", "marks", "seen", "words", "id", "queue", "callback"}
    assert (record["blames"], record["words"][0]) == (3, "had the hub")
    assert (record["id"], record["queue"], record["callback"]) == ("m", "jobs", "app:handle")


def test_records_are_dropped_after_a_week(tmp_path: Path) -> None:
    now = 1_000_000.0
    records = DeathRecords(tmp_path, clock=lambda: now)
    records.add([attribution(1)])
    now += 6 * 86400
    records.add([attribution(2)])
    assert records.get(KEY) is not None
    now += 2 * 86400
    records.add([attribution(3)])
    assert records.get(KEY) is None
    assert records.get(attribution(2).key) is not None


@pytest.mark.parametrize("rubbish", [b"", b"{", b"[]", b'{"format": 2, "records": {}}', b'{"format": 1}', b"\xff"])
def test_a_file_that_cannot_be_read_is_logged_once_and_replaced(
    tmp_path: Path, rubbish: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "blames.json"
    file.write_bytes(rubbish)
    records = DeathRecords(tmp_path)
    with caplog.at_level(logging.ERROR):
        assert records.get(KEY) is None
        assert records.get(KEY) is None
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"{file} cannot be read (")
    records.add([attribution(1)])
    assert json.loads(file.read_text())["records"].keys() == {KEY}


def test_without_a_folder_or_a_disk_records_are_kept_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for records in (DeathRecords(None), DeathRecords(tmp_path / "gone")):
        records.add([attribution(1)])
        records.add([attribution(1)])
        known = records.get(KEY)
        assert known is not None
        assert known.blames == 2
        records.forget(KEY)
        assert records.get(KEY) is None
    assert len(caplog.messages) == 1


def test_a_lock_that_another_program_holds_stops_nothing_and_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records, other = DeathRecords(tmp_path), DeathRecords(tmp_path)
    records.add([attribution(2)])
    with open(tmp_path / "blames.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.monotonic()
        records.add([attribution(1)])
        records.add([attribution(1)])
        records.forget(attribution(2).key)
        assert time.monotonic() - began < 2
        known = records.get(KEY)
        assert known is not None
        assert known.blames == 2
        assert records.get(attribution(2).key) is None
        assert other.get(KEY) is None
    assert [text for text in caplog.messages if "is held by another program" in text] == caplog.messages
    assert len(caplog.messages) == 1
    other.add([attribution(1), attribution(3)])
    records.write_changes(at_last=True)
    for one in (records, other, DeathRecords(tmp_path)):
        known = one.get(KEY)
        assert known is not None
        assert known.blames == 3
        assert one.get(attribution(3).key) is not None
        assert one.get(attribution(2).key) is None


def test_what_cannot_be_written_when_the_launcher_ends_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records = DeathRecords(tmp_path)
    with open(tmp_path / "blames.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        records.add([attribution(1)])
        records.write_changes(at_last=True)
    assert caplog.messages[-1] == f"{tmp_path / 'blames.json'}: 1 changes of blames are forgotten"


def test_its_files_are_for_this_user_alone(tmp_path: Path) -> None:
    DeathRecords(tmp_path).add([attribution(1)])
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "blames.json": 0o600,
        "blames.lock": 0o600,
    }
