"""What the pages show is true: programs run, files parse, and the two commands are there."""

from __future__ import annotations

import ast
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.docs.examples import Block, blocks, lay_out

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))]
BLOCKS = [block for page in PAGES for block in blocks(page)]


def run(block: Block, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of a page in *folder*, in which the page's files are laid out."""
    lay_out(block.page, folder)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=str)
def test_python_is_python(block: Block) -> None:
    ast.parse(block.text, str(block))


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "ini"], ids=str)
def test_ini_is_ini(block: Block) -> None:
    ConfigParser(interpolation=None).read_string(block.text, str(block))


@pytest.mark.parametrize("command", ["bin/demo", "bin/test"])
def test_the_two_commands_are_in_the_readme_and_here(command: str) -> None:
    assert f"    {command} " in (ROOT / "README.rst").read_text()
    assert (ROOT / command).stat().st_mode & 0o111
