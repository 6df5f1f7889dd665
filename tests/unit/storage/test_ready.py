from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.storage.ready import Ready


@dataclass
class Item:
    id: int
    priority: int


def place(item: Item) -> tuple[int, int]:
    return -item.priority, item.id


@given(st.lists(st.one_of(st.integers(0, 3), st.just("pop"), st.lists(st.integers(0, 20), max_size=6)), max_size=60))
def test_it_is_a_sorted_list(steps: list[int | str | list[int]]) -> None:
    """A number puts one of that priority, a list gives back some of those that were popped."""
    ready: Ready[Item] = Ready()
    model: list[Item] = []
    popped: list[Item] = []
    for number, step in enumerate(steps):
        if isinstance(step, int):
            item = Item(number, step)
            ready.append(item)
            model.append(item)
        elif isinstance(step, str):
            if model:
                expected = min(model, key=place)
                assert ready.pop() is expected
                model.remove(expected)
                popped.append(expected)
        else:
            back = [popped[at] for at in dict.fromkeys(step) if at < len(popped)]
            ready.give_back(back)
            model += back
            popped = [item for item in popped if item not in back]
        assert ready.count == len(model)
        assert list(ready) == sorted(model, key=place)


def test_an_empty_one_has_nothing_to_pop() -> None:
    ready: Ready[Item] = Ready()
    with pytest.raises(IndexError):
        ready.pop()
    ready.append(Item(1, 0))
    ready.clear()
    assert ready.count == 0
    with pytest.raises(IndexError):
        ready.pop()
