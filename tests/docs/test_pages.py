"""The examples of README and the pages are executed and show the expected output."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.support.code_blocks import Block, blocks, commands, write
from tests.support.terminal import Terminal

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))]
BLOCKS = [block for page in PAGES for block in blocks(page)]
LIVELY = [page for page in PAGES if any(b.is_program or b.caption or b.language == "console" for b in blocks(page))]


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=str)
def test_python_blocks_are_valid_python(block: Block) -> None:
    ast.parse(block.text, str(block))


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "ini"], ids=str)
def test_ini_blocks_are_valid_ini(block: Block) -> None:
    ConfigParser(interpolation=None).read_string(block.text, str(block))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty home folder, and with ``python`` and ``kombu-worker`` as after an installation."""
    bin_folder, home = tmp_path / "bin", tmp_path / "home"
    for folder in (bin_folder, home):
        folder.mkdir()
    for name, command in {"python": "", "kombu-worker": "-P -m kombu_green.cli"}.items():
        script = bin_folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        script.chmod(0o755)
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    others = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    plain = {"LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
    return {**others, **plain, "PATH": path, "HOME": str(home), "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("page", LIVELY, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_do_what_it_shows(page: Path, environment: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    terminal = Terminal(folder, environment)
    for block in blocks(page):
        if block.caption:
            write(block, folder)
        elif block.is_program:
            run(block, folder, environment)
        elif block.language == "console":
            go_through(block, terminal)


def run(program: Block, folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program.text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"{program}: {done.stderr}"
    assert done.stderr == "", str(program)
    assert program.printed in (None, done.stdout), str(program)


def go_through(block: Block, terminal: Terminal) -> None:
    typed = commands(block)
    for command, following in zip(typed, [*typed[1:], None], strict=True):
        difference = terminal.type(command)
        assert not difference, f"{block}: {command.typed}\n{difference}"
        told = following is not None and following.typed == "echo $?"
        assert told or terminal.code == 0, f"{block}: {command.typed} ended with {terminal.code}"


def test_readme_is_valid_without_sphinx() -> None:
    """Sites that show a repository or a package read it with docutils."""
    command = [sys.executable, "-m", "docutils", "--halt=warning", "--no-file-insertion", "README.rst", os.devnull]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["bin/demo", "bin/test"])
def test_the_two_commands_of_the_readme_exist(command: str) -> None:
    assert f"    {command} " in (ROOT / "README.rst").read_text()
    assert (ROOT / command).stat().st_mode & 0o111
