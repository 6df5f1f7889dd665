"""Whether the kernel has just ended processes for want of memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from kombu_green.launcher.shortage import RECENT, Shortage

VMSTAT = "nr_free_pages 5\noom_kill {}\nnot_oom_kill 99\n"


class Machine:
    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.file = folder / "vmstat"
        self.ended(3)
        self.shortage = Shortage(self.file, clock=lambda: self.now)

    def ended(self, processes: int) -> None:
        self.file.write_text(VMSTAT.format(processes))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_was_ended_before_is_not_recent(machine: Machine) -> None:
    assert machine.shortage.recent() is False


def test_what_was_ended_a_moment_ago_is(machine: Machine) -> None:
    machine.ended(4)
    assert machine.shortage.recent() is True
    machine.now += RECENT - 0.1
    assert machine.shortage.recent() is True
    machine.now += 0.2
    assert machine.shortage.recent() is False


def test_it_is_as_old_as_the_look_that_saw_it(machine: Machine) -> None:
    machine.now += 3600
    machine.shortage.look()
    machine.ended(4)
    machine.now += 1
    machine.shortage.look()
    machine.now += RECENT - 1
    assert machine.shortage.recent() is True, "a large process takes its time to end"
    machine.now += 1
    assert machine.shortage.recent() is False


def test_it_does_not_look_all_the_time(machine: Machine) -> None:
    machine.file.unlink()
    machine.now += 0.5
    machine.shortage.look()
    machine.ended(4)
    assert machine.shortage.recent() is True, "it had not looked while the file was gone"


@pytest.mark.parametrize("text", ["", "oom_kill\n", "oom_kill many\n", None])
def test_nobody_knows(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "vmstat"
    if text is not None:
        file.write_text(text)
    shortage = Shortage(file)
    assert shortage.recent() is None
    file.write_text(VMSTAT.format(7))
    assert shortage.recent() is False, "all of them may be old"


def test_a_linux_counts() -> None:
    if not Path("/proc/vmstat").exists():
        pytest.skip("not on Linux")
    assert Shortage().recent() is not None
