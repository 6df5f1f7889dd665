"""Objects are loaded by name, and a name that leads nowhere is explained."""

from __future__ import annotations

import os.path
from pathlib import Path

import pytest

from kombu_green.exceptions import PluginError
from kombu_green.plugins import entry_point, load


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
        ("no_such_module:x", "there is no module 'no_such_module'"),
        ("os.path:nothing", "os.path has no 'nothing'"),
        ("needs_another:x", "needs_another imports 'no_such_module', which is not installed"),
        ("broken_module:x", "importing broken_module failed: ZeroDivisionError"),
    ],
)
def test_what_cannot_be_loaded_is_explained(
    path: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_another.py").write_text("import no_such_module")
    (tmp_path / "broken_module.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginError, match=message):
        load(path)


def test_an_entry_point_that_nothing_offers_is_none() -> None:
    assert entry_point("kombu_green.no_such_group", "x") is None
