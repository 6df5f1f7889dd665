"""What is said of a name that nobody knows."""

from __future__ import annotations

import pytest

from kombu_green.suggestions import did_you_mean

MANY = [f"name{number}" for number in range(13)]


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("concurency", ["concurrency", "queue"], "; did you mean 'concurrency'?"),
        ("STATUS", ["status"], "; did you mean 'status'?"),
        ("pika", ["memory", "amqp"], "; known are amqp, memory"),
        ("pika", MANY, ""),
        ("nam3", MANY, "; did you mean 'name3'?"),
        ("x", [], ""),
    ],
)
def test_did_you_mean(name: str, known: list[str], said: str) -> None:
    assert did_you_mean(name, known) == said
