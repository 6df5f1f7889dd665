"""Which unit test file belongs to which module, and which suite covers a module that has none.

``python -m tests.support.mirror`` writes ``tests/architecture/covered_elsewhere.txt`` anew. A module that is still
there keeps its suite, and a new or renamed one gets the suite of its package in :data:`SUITES`. Look at what changed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.modules import MODULES, ROOT, Module

__all__ = ["COVERED_ELSEWHERE", "covered_elsewhere", "has_functions", "mirrored", "unit_test_of", "without_unit_test"]

UNIT: Final = ROOT / "tests" / "unit"
COVERED_ELSEWHERE: Final = ROOT / "tests" / "architecture" / "covered_elsewhere.txt"

#: For a new line in the list: the suite that covers most modules of a package. The longest name that fits counts.
SUITES: Final = {
    "": "tests/contracts/test_transports.py",
    "child": "tests/processes/test_cannot_boot.py",
    "cli": "tests/processes/test_cli.py",
    "config": "tests/processes/test_cannot_boot.py",
    "dead_letters": "tests/processes/test_dead.py",
    "green": "tests/runtime/test_verdicts.py",
    "launcher": "tests/processes/test_launcher.py",
    "storage": "tests/contracts/test_storage.py",
    "testing.storage": "tests/contracts/test_storage.py",
    "transport.amqp": "tests/rabbitmq/test_amqp.py",
    "worker": "tests/runtime/test_verdicts.py",
}

_HEADER: Final = """\
# Modules with functions and without a unit test file of their own, and the suite that covers each.
# Written by: python -m tests.support.mirror
"""


def has_functions(module: Module) -> bool:
    """Whether anything in it can be called that does something: the methods of a protocol do not."""
    return any(
        isinstance(node, ast.FunctionDef) and any(map(_does_something, node.body)) for node in ast.walk(module.tree)
    )


def _does_something(statement: ast.stmt) -> bool:
    """Whether it is more than a docstring or ``...``."""
    return not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))


def unit_test_of(module: Module) -> Path:
    """Where the unit test file of *module* is, if there is one: ``a/b.py`` has ``tests/unit/a/test_b.py``."""
    *folders, name = module.name.split(".")[1:] or [module.name]
    return UNIT.joinpath(*folders, f"test_{name}.py")


def without_unit_test() -> Iterator[Module]:
    """The modules that have to be in the list."""
    return (module for module in MODULES if has_functions(module) and not unit_test_of(module).exists())


def mirrored() -> set[Path]:
    """Where a unit test file may be: one place for each module of the package, of benchmarks/ and of tests/support/."""
    beside = {
        UNIT / folder.name / path.relative_to(folder).with_name(f"test_{path.stem.strip('_')}.py")
        for folder in (ROOT / "benchmarks", ROOT / "tests" / "support")
        for path in folder.rglob("*.py")
    }
    return {unit_test_of(module) for module in MODULES} | beside


def covered_elsewhere() -> dict[str, str]:
    """The list: the name of a module, and the path of a suite."""
    lines = COVERED_ELSEWHERE.read_text().splitlines() if COVERED_ELSEWHERE.exists() else []
    return dict(line.split() for line in lines if line and not line.startswith("#"))


def _suite_of(module: Module) -> str:
    return SUITES[max((package for package in SUITES if not package or module.within(package)), key=len)]


def main() -> None:
    known = covered_elsewhere()
    suites = {module.name: known.get(module.name) or _suite_of(module) for module in without_unit_test()}
    COVERED_ELSEWHERE.write_text(_HEADER + "".join(f"{name} {suite}\n" for name, suite in suites.items()))


if __name__ == "__main__":
    main()
