"""Blames on disk: shared by several parents, bounded, aged; a disk that does not work costs the memory alone."""

from __future__ import annotations

import json
import logging
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from kombu_green.ipc.recorder import Row, RowState
from kombu_green.launcher.blame import Charge, Finding
from kombu_green.launcher.ledger import Ledger


def finding(number: int, charge: Charge = Charge.HUB) -> Finding:
    row = Row(1, "jobs", "app:handle", number.to_bytes(16, "big"), "m", 0.0, 0.0, RowState.RUNNING)
    return Finding(row, charge, "was ended by SIGSEGV")


KEY = finding(1).key


def test_what_is_charged_outlives_the_parent(tmp_path: Path) -> None:
    Ledger(tmp_path).charge([finding(1), finding(2, Charge.PRESENT)])
    Ledger(tmp_path).charge([finding(1)])
    again = Ledger(tmp_path)
    known, other = again.get(KEY), again.get(finding(2).key)
    assert known is not None
    assert other is not None
    assert (known.blames, known.sure, known.marks) == (2, 2, 0)
    assert known.words == ("had the hub when its process was ended by SIGSEGV",) * 2
    assert (other.blames, other.marks) == (0, 1)
    assert again.get(finding(3).key) is None


def test_two_parents_see_each_other(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path), Ledger(tmp_path)
    first.charge([finding(1)])
    second.charge([finding(1)])
    first.charge([finding(1)])
    for ledger in (first, second):
        known = ledger.get(KEY)
        assert known is not None
        assert known.blames == 3
    second.forget(KEY)
    assert first.get(KEY) is None


def charge_often(folder: Path) -> None:
    ledger = Ledger(folder)
    for _ in range(50):
        ledger.charge([finding(1)])


def test_nothing_is_lost_between_processes(tmp_path: Path) -> None:
    context = get_context("spawn")
    both = [context.Process(target=charge_often, args=(tmp_path,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    known = Ledger(tmp_path).get(KEY)
    assert known is not None
    assert known.blames == 100


def test_the_oldest_go_first(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, kept=3)
    for number in (1, 2, 3):
        ledger.charge([finding(number)])
    ledger.charge([finding(1)])
    ledger.charge([finding(4)])
    assert [number for number in range(1, 5) if ledger.get(finding(number).key)] == [1, 3, 4]


def test_a_file_from_before_there_were_sure_blames(tmp_path: Path) -> None:
    old = {"blames": 2, "marks": 0, "seen": time.time(), "words": ["had the hub"]}
    (tmp_path / "blames.json").write_text(json.dumps({"format": 1, "records": {KEY: old}}))
    ledger = Ledger(tmp_path)
    ledger.charge([finding(1)])
    known = ledger.get(KEY)
    assert known is not None
    assert (known.blames, known.sure) == (3, 1)


def test_what_is_old_is_forgotten(tmp_path: Path) -> None:
    now = 1_000_000.0
    ledger = Ledger(tmp_path, clock=lambda: now)
    ledger.charge([finding(1)])
    now += 6 * 86400
    ledger.charge([finding(2)])
    assert ledger.get(KEY) is not None
    now += 2 * 86400
    ledger.charge([finding(3)])
    assert ledger.get(KEY) is None
    assert ledger.get(finding(2).key) is not None


@pytest.mark.parametrize("rubbish", [b"", b"{", b"[]", b'{"format": 2, "records": {}}', b'{"format": 1}', b"\xff"])
def test_a_file_that_nobody_can_read_is_said_once_and_replaced(
    tmp_path: Path, rubbish: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "blames.json"
    file.write_bytes(rubbish)
    ledger = Ledger(tmp_path)
    with caplog.at_level(logging.ERROR):
        assert ledger.get(KEY) is None
        assert ledger.get(KEY) is None
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"{file} cannot be read (")
    ledger.charge([finding(1)])
    assert json.loads(file.read_text())["records"].keys() == {KEY}


def test_without_a_folder_or_a_disk_it_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for ledger in (Ledger(None), Ledger(tmp_path / "gone")):
        ledger.charge([finding(1)])
        ledger.charge([finding(1)])
        known = ledger.get(KEY)
        assert known is not None
        assert known.blames == 2
        ledger.forget(KEY)
        assert ledger.get(KEY) is None
    assert len(caplog.messages) == 1
