"""``tests/unit`` mirrors the package: what has no unit test file there is covered by a suite that is named."""

from __future__ import annotations

from tests.support.mirror import COVERED_ELSEWHERE, UNIT, covered_elsewhere, mirrored, without_unit_test
from tests.support.modules import ROOT

HOW = f"run: python -m tests.support.mirror, and look at what changed in {COVERED_ELSEWHERE.relative_to(ROOT)}"

#: unit test files that are about more than one module, or one of several about one
OF_NO_ONE_MODULE = {
    "tests/unit/ipc/test_protocol.py": "whatever a process and its parent share, and the number of that",
    "tests/unit/storage/sqlalchemy/test_reserve_steps.py": "each statement by which a store hands out a message",
}


def test_every_unit_test_file_belongs_to_a_module() -> None:
    files = {str(path.relative_to(ROOT)) for path in set(UNIT.rglob("test_*.py")) - mirrored()}
    assert sorted(files - OF_NO_ONE_MODULE.keys()) == [], "name it after the module that it tests, and put it there"
    assert sorted(OF_NO_ONE_MODULE.keys() - files) == [], "it is gone, or belongs to a module"


def test_every_module_has_a_unit_test_file_or_a_suite_that_covers_it() -> None:
    assert sorted(covered_elsewhere()) == sorted(module.name for module in without_unit_test()), HOW


def test_the_suites_are_there() -> None:
    suites = set(covered_elsewhere().values())
    assert [suite for suite in sorted(suites) if not list(ROOT.glob(suite))] == [], HOW
    assert [suite for suite in sorted(suites) if suite.startswith("tests/unit/")] == [], "a unit test covers one module"
