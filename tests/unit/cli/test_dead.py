"""``kombu-worker dead`` becomes another process, with the same terminal and the same pid."""

from __future__ import annotations

import os
import sys

import pytest

from kombu_green.cli.dead import dead


class Replaced(Exception):
    """Stands for the end of this program's code."""


def test_this_process_is_replaced_with_all_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, list[str]]] = []

    def execve(path: str, command: list[str], environ: dict[str, str]) -> None:
        calls.append((path, command))
        raise Replaced

    monkeypatch.setattr(os, "execve", execve)
    with pytest.raises(Replaced):
        dead(["ls", "-c", "w.ini", "video"])
    ((path, command),) = calls
    assert path == command[0] == sys.executable
    assert command[-5:] == ["kombu_green.dead_letters", "ls", "-c", "w.ini", "video"]
