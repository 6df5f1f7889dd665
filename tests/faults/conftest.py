from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fleet import Fleet, RabbitMQFleet, SQLiteFleet


@pytest.fixture(params=["sqlite", "rabbitmq"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Fleet:
    """Workers on each broker that survives their end."""
    if request.param == "sqlite":
        return SQLiteFleet(tmp_path)
    return RabbitMQFleet(tmp_path, request.getfixturevalue("rabbitmq"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kill_run" in metafunc.fixturenames:
        metafunc.parametrize("kill_run", range(metafunc.config.getoption("--kill-runs")))
