"""The operations page names everything that can be said to a worker, and everything that it answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kombu_green.config.declaring import declarations
from kombu_green.config.settings import ConsumerSettings, WorkerSettings
from kombu_green.launcher import launcher
from kombu_green.launcher.blame import Manner
from kombu_green.launcher.ending import ExitCode

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.rst").read_text()
LAUNCHER = sorted((ROOT / "kombu_green" / "launcher").glob("*.py"))
LIMITS = re.compile(r"timeout|limit|memory|max_|concurrency|prefetch|block")


@pytest.mark.parametrize("number", launcher._SIGNALS, ids=lambda number: number.name)
def test_every_signal(number: object) -> None:
    assert f"``{getattr(number, 'name', number)}``" in PAGE


@pytest.mark.parametrize("code", ExitCode, ids=str)
def test_every_exit_code(code: ExitCode) -> None:
    assert re.search(rf"^{code.value} ", PAGE, re.MULTILINE)


def test_every_limit() -> None:
    keys = [setting.key for kind in (WorkerSettings, ConsumerSettings) for setting in declarations(kind)]
    limits = [key for key in keys if LIMITS.search(key)]
    assert len(limits) >= 9
    assert [key for key in limits if not re.search(rf"\b{key}``", PAGE)] == []


def test_every_event() -> None:
    text = "\n".join(module.read_text() for module in LAUNCHER)
    events = set(re.findall(r'"event": "([^"]+)"', text)) | set(re.findall(r'_say\(logging\.\w+, "([^"]+)"', text))
    events |= {Manner.HUNG.value, Manner.OVERDUE.value, Manner.MEMORY.value}
    assert len(events) >= 20
    assert sorted(event for event in events if f"``{event}``" not in PAGE) == []
