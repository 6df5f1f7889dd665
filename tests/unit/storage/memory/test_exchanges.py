from __future__ import annotations

from typing import Any

import pytest

from kombu_green.declarations import ExchangeSpec
from kombu_green.exceptions import PreconditionFailed
from kombu_green.routing import Binding
from kombu_green.storage.contract import ExchangeBindings
from kombu_green.storage.memory.exchanges import MemoryExchanges

E = ExchangeSpec("e", "topic")
A, B, C = Binding("q", "a"), Binding("r", "b"), Binding("q", "c")


@pytest.fixture
def exchanges() -> MemoryExchanges:
    exchanges = MemoryExchanges()
    exchanges.rebind(E, [A, B], [])
    return exchanges


def test_bindings_come_and_go_in_one_step(exchanges: MemoryExchanges) -> None:
    exchanges.rebind(E, [C], [A])
    assert exchanges.get("e") == ExchangeBindings(E, [B, C])


def test_a_change_that_changes_nothing_leaves_the_object(exchanges: MemoryExchanges) -> None:
    known = exchanges.get("e")
    exchanges.rebind(E, [A, B, A], [C])
    exchanges.unbind_queue("nowhere")
    exchanges.forget("nowhere")
    assert exchanges.get("e") is known


def test_a_dropped_queue_loses_its_bindings(exchanges: MemoryExchanges) -> None:
    exchanges.unbind_queue("q")
    assert exchanges.get("e") == ExchangeBindings(E, [B])


def test_another_declaration_changes_nothing(exchanges: MemoryExchanges) -> None:
    with pytest.raises(PreconditionFailed, match="type"):
        exchanges.rebind(ExchangeSpec("e", "fanout"), [C], [A])
    assert exchanges.get("e") == ExchangeBindings(E, [A, B])


def test_arguments_are_not_shared_with_the_caller(exchanges: MemoryExchanges) -> None:
    arguments: dict[str, Any] = {"x-match": "any", "deep": [1]}
    exchanges.rebind(ExchangeSpec("h", "headers", arguments=arguments), [Binding("q", "", arguments)], [])
    arguments["deep"].append(2)
    arguments["n"] = 1
    found = exchanges.get("h")
    assert found.spec is not None
    assert found.spec.arguments == found.bindings[0].arguments == {"x-match": "any", "deep": [1]}
