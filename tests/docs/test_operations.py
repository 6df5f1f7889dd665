"""The operations page has every signal, exit code, limit and log event."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from kombu_green.config.declaration import declarations
from kombu_green.config.settings import ConsumerSettings, WorkerSettings
from kombu_green.exit_codes import OF_THE_LAUNCHER, ExitCode
from kombu_green.launcher import launcher
from kombu_green.launcher.child_states import ChildTimeouts
from kombu_green.launcher.death_rules import DeathKind
from tests.support.code_blocks import blocks

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.rst").read_text()
LAUNCHER = sorted((ROOT / "kombu_green" / "launcher").glob("*.py"))
LIMITS = re.compile(r"timeout|limit|memory|max_|concurrency|prefetch|block")


@pytest.mark.parametrize("number", launcher._SIGNALS, ids=lambda number: number.name)
def test_the_page_has_every_signal(number: object) -> None:
    assert f"``{getattr(number, 'name', number)}``" in PAGE


@pytest.mark.parametrize("code", [*OF_THE_LAUNCHER, ExitCode.CRASHED], ids=str)
def test_the_page_has_every_exit_code(code: ExitCode) -> None:
    assert re.search(rf"^{code.value} ", PAGE, re.MULTILINE)


def test_the_page_has_every_limit() -> None:
    keys = [setting.key for kind in (WorkerSettings, ConsumerSettings) for setting in declarations(kind)]
    limits = [key for key in keys if LIMITS.search(key)]
    assert len(limits) >= 9
    assert [key for key in limits if not re.search(rf"\b{key}``", PAGE)] == []


def test_the_page_has_every_log_event() -> None:
    text = "\n".join(module.read_text() for module in LAUNCHER)
    events = set(re.findall(r'"event": "([^"]+)"', text)) | set(re.findall(r'_log\(logging\.\w+, "([^"]+)"', text))
    events |= {DeathKind.HUNG.value, DeathKind.OVER_TIME_LIMIT.value, DeathKind.OVER_MEMORY_LIMIT.value}
    assert len(events) >= 20
    assert sorted(event for event in events if f"``{event}``" not in PAGE) == []


def files() -> Iterator[tuple[str, ConfigParser]]:
    for block in blocks(ROOT / "docs" / "operations.rst"):
        if block.language == "ini" and not block.caption:
            parsed = ConfigParser(interpolation=None)
            parsed.optionxform = str  # type: ignore[assignment, method-assign]
            parsed.read_string(block.text)
            yield block.text, parsed


@pytest.fixture
def longest_stop() -> float:
    """Seconds from SIGTERM to the end, with default settings and a process that hangs while it drains."""
    timeouts = ChildTimeouts.from_settings(WorkerSettings())
    return timeouts.graceful + max(timeouts.margin + timeouts.release, timeouts.stack_dump + timeouts.abort)


NOT_RESTARTED = {str(ExitCode.USAGE.value), str(ExitCode.CANNOT_BOOT.value)}


def test_supervisord_waits_long_enough_and_does_not_restart_in_vain(longest_stop: float) -> None:
    assert "literalinclude:: ../conf/supervisord.conf" in PAGE
    parsed = ConfigParser(interpolation=None)
    parsed.read(ROOT / "conf" / "supervisord.conf")
    program = parsed["program:media"]
    assert float(program["stopwaitsecs"]) > longest_stop
    assert set(program["exitcodes"].split(",")) == NOT_RESTARTED | {str(ExitCode.DRAINED.value)}
    assert (program["autorestart"], program["stopsignal"]) == ("unexpected", "TERM")
    assert (program["startsecs"], program["startretries"]) == (
        "5",
        "3",
    )  # not 0: what is broken would be tried for ever
    assert (program["stopasgroup"], program["killasgroup"]) == ("false", "false")
    assert program["command"] == "%(here)s/../bin/kombu-worker -c %(here)s/media.ini --stop-with-parent"


def test_systemd_waits_long_enough_and_does_not_restart_in_vain(longest_stop: float) -> None:
    (service,) = (parsed["Service"] for _, parsed in files() if "Service" in parsed)
    assert float(service["TimeoutStopSec"].removesuffix("s")) > longest_stop
    assert set(service["RestartPreventExitStatus"].split()) == NOT_RESTARTED
    assert (service["KillMode"], service["OOMPolicy"]) == ("mixed", "continue")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    (text,) = (text for text, parsed in files() if "Service" in parsed)
    unit = tmp_path / "media-worker.service"
    unit.write_text(text.replace("/srv/media/venv/bin/kombu-worker", "/bin/true").replace("User=media", "User=root"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "media-worker" in line]) == (0, [])
