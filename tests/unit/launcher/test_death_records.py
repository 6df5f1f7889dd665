"""Blames on disk: shared by several parents, bounded, aged; a disk that does not work costs the memory alone."""

from __future__ import annotations

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
    assert record.keys() == {"blames", "marks", "seen", "words"}
    assert (record["blames"], record["words"][0]) == (3, "had the hub")


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
