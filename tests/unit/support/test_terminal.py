"""The terminal shows what the page says, and differences are found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.code_blocks import Command
from tests.support.terminal import Terminal, agree, missing

WORKER = """\
trap 'echo stopping; exit 3' INT
echo two
echo one
while :; do sleep 0.05; done
"""


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    (tmp_path / "worker.sh").write_text(WORKER)
    return Terminal(tmp_path, os.environ)


def test_what_is_shown_is_compared(terminal: Terminal) -> None:
    assert terminal.type(Command("echo a; echo b >&2", ["a", "b"])) == ""
    assert "b" in terminal.type(Command("echo a; echo b", ["a"]))
    assert "b" in terminal.type(Command("echo a", ["a", "b"]))
    assert terminal.type(Command("echo a; echo b", ["b", "a"]))


def test_a_session_is_a_terminal_and_knows_the_last_exit_code(terminal: Terminal) -> None:
    assert terminal.type(Command("test -t 1 || exit 9; exit 7", [])) == ""
    assert terminal.code == 7
    assert terminal.type(Command("echo $?", ["7"])) == ""
    assert terminal.code == 0


def test_interrupt_is_pressed_after_what_stands_above_it(terminal: Terminal) -> None:
    assert terminal.type(Command("bash worker.sh", ["one", "two", "^Cstopping"])) == ""
    assert terminal.code == 3
    assert terminal.type(Command("bash worker.sh", ["one", "...", "^C", "stopping"])) == ""
    assert "two" in terminal.type(Command("bash worker.sh", ["one", "^Cstopping"]))
    assert terminal.type(Command("bash worker.sh", ["one", "two", "^Cgoing on"]))


def test_times_and_process_ids_do_not_count() -> None:
    said = ["2031-05-06T07:08:09.123+0200 INFO 4711 a: process 1 (pid 4712) started"]
    assert agree(said, ["2026-11-25T04:16:28.845+0000 INFO 321 a: process 1 (pid 322) started"])
    assert not agree(said, ["2026-11-25T04:16:28.845+0000 INFO 321 a: process 2 (pid 322) started"])
    assert agree(['{"child": 4712}'], ['{"child": 99}'])
    assert not agree(said, ["2026-11-25T04:16:28.845+0000 ERROR 321 a: process 1 (pid 322) started"])


def test_dots_stand_for_a_part_of_a_line_or_for_lines() -> None:
    assert agree(["a ... c", "...", "z"], ["a b c", "x", "y", "z"])
    assert agree(["a", "..."], ["a"])
    assert not agree(["a ... c"], ["a b d"])
    assert missing(["b", "...", "a"], ["a", "x"]) == ["b"]
