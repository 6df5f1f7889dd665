"""Phases, files and imports on the architecture page match the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kombu_green.ipc.phases import MOVES, Phase
from kombu_green.launcher.child_states import ChildState
from tests.support.path_of_a_message import traced

ROOT = Path(__file__).parents[2]
DRAWING = ROOT / "docs" / "drawing" / "imports.py"
PAGE = (ROOT / "docs" / "architecture.rst").read_text()
PHASES = {phase.value for phase in Phase}
OWN = [state for state in ChildState if state.value not in PHASES]


def row(name: str) -> str:
    found = re.search(rf"^\*{name}\* .*$", PAGE, re.MULTILINE)
    assert found is not None, name
    return found[0]


@pytest.mark.parametrize("phase", MOVES, ids=str)
def test_the_page_says_which_phases_may_follow(phase: Phase) -> None:
    told = row(phase.value)[66:].strip()
    follow = {phase.value for phase in MOVES[phase]} - {Phase.GONE.value}
    assert set(told.split(", ")) - {""} == follow


@pytest.mark.parametrize("state", OWN, ids=str)
def test_the_page_has_every_state_that_the_launcher_adds(state: ChildState) -> None:
    assert row(state.value)


def test_the_picture_is_drawn_from_the_current_imports() -> None:
    drawn = subprocess.run([sys.executable, str(DRAWING), "-"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert (ROOT / "docs" / "architecture.svg").read_text() == drawn.stdout, f"draw it again: {DRAWING}"


def test_every_file_that_the_page_names_exists() -> None:
    named = set(re.findall(r"``([a-z_]+(?:/[a-z_]+)*(?:\.py|/))``", PAGE)) - {"tests/support/", "tests/architecture/"}
    assert len(named) >= 30
    missing = [name for name in named if not (ROOT / "kombu_green" / name).exists() and not (ROOT / name).exists()]
    assert missing == []


def test_the_way_of_a_message_names_the_files_that_it_passes_through() -> None:
    section = PAGE[PAGE.index("The way of one message") : PAGE.index("The way of one death")]
    told = set(re.findall(r"``([a-z_/]+)\.py``", section))
    calls = traced("memory://architecture-page")
    slot = next(call.greenlet for call in calls if call.function == "dispatch")
    passed = {call.module.removeprefix("kombu_green.").replace(".", "/") for call in calls if call.greenlet == slot}
    runtime = {name for name in passed if name.startswith(("worker/", "dispatch/"))}
    assert len(runtime) >= 7
    assert sorted(runtime - told) == []
