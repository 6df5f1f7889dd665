"""Objects are loaded by name, and a name that leads nowhere is explained."""

from __future__ import annotations

import os.path
import re
from pathlib import Path

import pytest

from kombu_green.exceptions import PluginError
from kombu_green.plugins import entry_point, importing, load


@pytest.mark.parametrize("path", ["os.path:join", "os.path.join"])
def test_an_object_is_found_after_a_colon_or_the_last_dot(path: str) -> None:
    assert load(path) is os.path.join


def test_an_attribute_of_an_attribute() -> None:
    assert load("pathlib:Path.home") == Path.home


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("join", "does not name a thing in a module"),
        ("os.path:", "does not name a thing in a module"),
        ("no_such_module:x", "there is no module 'no_such_module' in {folder}.*, and none is installed"),
        ("package.none:x", "there is no module 'package.none' in {folder}/package$"),
        ("os.path:nothing", "os.path has no 'nothing'"),
        (
            "needs_another:x",
            "needs_another imports 'no_such_module', which is not installed .{folder}/needs_another.py:1.$",
        ),
        ("broken_module:x", "importing broken_module failed: ZeroDivisionError.* .{folder}/broken_module.py:1.$"),
        ("imports_it:x", "ZeroDivisionError.* .{folder}/imports_it.py:2 → {folder}/broken_module.py:1.$"),
        ("no_python:x", "SyntaxError.* .{folder}/no_python.py:3.$"),
        ("exits:x", "importing exits ended with sys.exit.3. .{folder}/exits.py:2.$"),
        ("killed:x", "importing killed failed: GreenletExit: enough"),
    ],
)
def test_what_cannot_be_loaded_is_explained(
    path: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_another.py").write_text("import no_such_module")
    (tmp_path / "broken_module.py").write_text("1 / 0")
    (tmp_path / "imports_it.py").write_text("\nimport broken_module")
    (tmp_path / "no_python.py").write_text("\n\nx = = 1")
    (tmp_path / "exits.py").write_text("import sys\nsys.exit(3)")
    (tmp_path / "killed.py").write_text("import gevent\nraise gevent.GreenletExit('enough')")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginError, match=message.format(folder=re.escape(str(tmp_path)))):
        load(path)


def test_an_entry_point_that_nothing_offers_is_none() -> None:
    assert entry_point("kombu_green.no_such_group", "x") is None


def test_what_is_being_imported_is_known_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "asks.py").write_text("from kombu_green.plugins import importing\nanswer = importing()")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load("asks:answer") == "asks"
    assert importing() is None
