"""Fences that the import linter cannot express: drivers, gevent, late imports, state kept in modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.support.modules import MODULES, Module

DRIVERS = {
    "amqp": ["transport.amqp"],
    "vine": [],
    "pika": ["transport.pika"],
    "redis": ["storage.redis"],
    "pymongo": ["storage.mongodb"],
    "bson": ["storage.mongodb"],
    "greenstalk": ["storage.beanstalk"],
    "sqlalchemy": ["storage.sqlalchemy"],
    "django": ["storage.django"],
    "requests": ["storage.couchdb"],
}
WITH_GEVENT = [
    *("green", "storage", "transport"),
    *("messaging", "simple", "resource", "connection", "mixins", "common", "pidbox", "compat", "pools"),
    *("worker", "monitor", "child", "dead_letters", "testing"),
]
IMPORTS_LATE = ["plugins"]
KEEPS_STATE = ["pools", "serialization", "compression", "extended_json", "storage.memory.brokers"]
"""The pool registry, the codec registries and the memory brokers by name: kombu's API makes them global."""


def offences(found: Iterator[tuple[Module, int, str]]) -> str:
    return "\n".join(f"{module.path}:{line}: {what}" for module, line, what in found)


def imports_outside(top: str, allowed: list[str]) -> Iterator[tuple[Module, int, str]]:
    for module in MODULES:
        if not module.within(*allowed):
            for name, line in module.imports():
                if name.split(".")[0] == top:
                    yield module, line, f"imports {name}, which is for {', '.join(allowed) or 'nobody'}"


@pytest.mark.parametrize(("driver", "allowed"), DRIVERS.items())
def test_a_driver_is_imported_in_its_own_adapter(driver: str, allowed: list[str]) -> None:
    assert not offences(imports_outside(driver, allowed))


@pytest.mark.parametrize("name", ["gevent", "greenlet"])
def test_gevent_is_imported_from_the_second_floor_up_and_never_in_the_parent(name: str) -> None:
    assert not offences(imports_outside(name, WITH_GEVENT))


def late_imports(module: Module) -> Iterator[tuple[Module, int, str]]:
    for scope in ast.walk(module.tree):
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for node in ast.walk(scope):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield module, node.lineno, "an import within a function"
                elif isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node).endswith(
                    ("import_module", "__import__")
                ):
                    yield module, node.lineno, "a late import: kombu_green.plugins does that"


def test_modules_are_imported_late_by_the_root_and_plugins_alone() -> None:
    modules = [module for module in MODULES if module.name != "kombu_green" and not module.within(*IMPORTS_LATE)]
    assert not offences(found for module in modules for found in late_imports(module))


def mutable(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp) or (
        isinstance(value, ast.Call)
        and ast.unparse(value.func).split(".")[-1] in {"dict", "list", "set", "deque", "defaultdict", "bytearray"}
    )


def state(module: Module) -> Iterator[tuple[Module, int, str]]:
    """What a module keeps for itself; a table that is written in capitals is a constant by convention."""
    for node in module.tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            name = ast.unparse(target)
            if mutable(getattr(node, "value", None)) and name != "__all__" and name != name.upper():
                yield module, node.lineno, f"{name} is state kept in a module"
    for inner in ast.walk(module.tree):
        if isinstance(inner, ast.Global):
            yield module, inner.lineno, f"global {', '.join(inner.names)} is state kept in a module"


def test_modules_keep_no_state() -> None:
    modules = [module for module in MODULES if not module.within(*KEEPS_STATE)]
    assert not offences(found for module in modules for found in state(module))


def test_the_parent_s_child_patches_first() -> None:
    """An import in the ``__init__`` beside ``__main__.py`` would run before its first statement."""
    inits = [module for module in MODULES if module.name in {"kombu_green.child", "kombu_green.dead_letters"}]
    assert [ast.unparse(module.tree) for module in inits] == ["", ""]
