"""The package root: one table of names, and nothing imported before a name is asked for."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import kombu_green

NAMES = [name for name in kombu_green.__all__ if name != "__version__"]


def test_importing_the_root_imports_none_of_its_modules() -> None:
    program = "import sys, kombu_green; print(*[name for name in sys.modules if name.startswith('kombu_green.')])"
    out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert out.split() == []


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_the_one_at_its_home(name: str) -> None:
    found = getattr(kombu_green, name)
    home = importlib.import_module(f"kombu_green.{kombu_green._HOMES[name]}")
    assert found is getattr(home, name)
    assert name in home.__all__


def test_all_dir_and_the_table_agree() -> None:
    assert sorted(NAMES) == sorted(kombu_green._HOMES)
    assert set(NAMES) <= set(dir(kombu_green))


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(kombu_green.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    seen = {
        (alias.asname, f"{node.module}.{alias.name}")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {(name, f"kombu_green.{home}.{name}") for name, home in kombu_green._HOMES.items()}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Exchagne'"):
        _ = kombu_green.Exchagne  # type: ignore[attr-defined]
