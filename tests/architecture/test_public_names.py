"""Every module says what it offers, and has it."""

from __future__ import annotations

import importlib

import pytest

from tests.support.modules import MODULES, Module

WITH_NAMES = [
    module
    for module in MODULES
    if module.tree.body and module.name != "kombu_green" and not module.name.endswith("__main__")
    if not all(type(node).__name__ == "Expr" for node in module.tree.body)  # an __init__ with a docstring alone
]


@pytest.mark.parametrize("module", WITH_NAMES, ids=lambda module: module.name)
def test_all_names_exist(module: Module) -> None:
    loaded = importlib.import_module(module.name)
    names = loaded.__all__
    assert names
    assert [name for name in names if not hasattr(loaded, name)] == []
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("module", WITH_NAMES, ids=lambda module: module.name)
def test_all_modules_explain_themselves(module: Module) -> None:
    assert (importlib.import_module(module.name).__doc__ or "").strip()
