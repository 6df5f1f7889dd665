"""The table of phases on the architecture page is the one that processes go by."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kombu_green.ipc.phases import MOVES, Phase
from kombu_green.launcher.child_states import ChildState

PAGE = (Path(__file__).parents[2] / "docs" / "architecture.rst").read_text()
PHASES = {phase.value for phase in Phase}
OWN = [state for state in ChildState if state.value not in PHASES]


def row(name: str) -> str:
    found = re.search(rf"^\*{name}\* .*$", PAGE, re.MULTILINE)
    assert found is not None, name
    return found[0]


@pytest.mark.parametrize("phase", MOVES, ids=str)
def test_what_may_follow(phase: Phase) -> None:
    told = row(phase.value)[66:].strip()
    follow = {phase.value for phase in MOVES[phase]} - {Phase.GONE.value}
    assert set(told.split(", ")) - {""} == follow


@pytest.mark.parametrize("state", OWN, ids=str)
def test_what_the_parent_adds(state: ChildState) -> None:
    assert row(state.value)
