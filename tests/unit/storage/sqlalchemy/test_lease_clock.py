from __future__ import annotations

import time
from pathlib import Path

import pytest

from kombu_green.storage.sqlalchemy.lease_clock import system_lease_clock

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
LINUX = pytest.mark.skipif(not BOOT_ID.exists(), reason="this system has no boot id")


@LINUX
def test_it_is_the_time_since_the_machine_was_started() -> None:
    clock = system_lease_clock()
    assert abs(clock.now() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1
    assert clock.boot == system_lease_clock().boot
    assert 0 < clock.boot < 2**63


def test_another_start_has_another_number(tmp_path: Path) -> None:
    numbers = set()
    for text in ("5bf7ea2e-5d4c-4e3f-9a1a-0e1c2b7d9f10\n", "5bf7ea2f-5d4c-4e3f-9a1a-0e1c2b7d9f10\n"):
        (tmp_path / "boot_id").write_text(text)
        numbers.add(system_lease_clock(tmp_path / "boot_id").boot)
    assert len(numbers) == 2


@pytest.mark.parametrize("text", [None, "", "no uuid"])
def test_without_a_boot_id_it_is_the_wall_clock(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "boot_id").write_text(text)
    clock = system_lease_clock(tmp_path / "boot_id")
    assert (clock.now, clock.boot) == (time.time, 0)
    assert "do not set it" in clock.description
