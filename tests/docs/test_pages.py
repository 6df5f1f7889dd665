"""What the pages show is true: programs run, files parse, and the two commands are there."""

from __future__ import annotations

import ast
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.docs.examples import Block, blocks, lay_out, programs

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))]
BLOCKS = [block for page in PAGES for block in blocks(page)]


PROGRAMS = [program for page in PAGES for program in programs(page)]


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=str)
def test_python_is_python(block: Block) -> None:
    ast.parse(block.text, str(block))


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "ini"], ids=str)
def test_ini_is_ini(block: Block) -> None:
    ConfigParser(interpolation=None).read_string(block.text, str(block))


@pytest.mark.parametrize(("program", "printed"), PROGRAMS, ids=str)
def test_a_program_runs_and_prints_what_the_page_says(program: Block, printed: str | None, tmp_path: Path) -> None:
    lay_out(program.page, tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program.text],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert printed in (None, done.stdout)


@pytest.mark.parametrize("command", ["bin/demo", "bin/test"])
def test_the_two_commands_are_in_the_readme_and_here(command: str) -> None:
    assert f"    {command} " in (ROOT / "README.rst").read_text()
    assert (ROOT / command).stat().st_mode & 0o111
