"""Settings know where their values were written."""

from __future__ import annotations

from pathlib import Path

from kombu_green.config.settings import BrokerSettings, Origin, Settings, WorkerSettings


def settings(**origins: str) -> Settings:
    found = {("worker", key.removeprefix("section")): Origin(where) for key, where in origins.items()}
    return Settings(worker=WorkerSettings(), broker=BrokerSettings(url="memory://"), file=Path("w.ini"), origins=found)


def test_a_problem_is_placed_at_the_value_or_its_section_or_the_file() -> None:
    assert str(settings(section="w.ini:1", app="w.ini:3").problem("worker", "app", "x")) == "w.ini:3: [worker] app: x"
    assert str(settings(section="w.ini:1").problem("worker", "app", "x")) == "w.ini:1: [worker] app: x"
    assert str(settings().problem("worker", "app", "x")) == "w.ini: [worker] app: x"


def test_the_url_and_the_options_are_not_in_the_repr() -> None:
    broker = BrokerSettings(url="amqp://user:hunter2@host", options={"password": "hunter2"})
    assert "hunter2" not in repr(broker)
