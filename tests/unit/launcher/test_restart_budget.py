"""How often deaths are followed at once: no queue more often than it has budget, and what is handled pays back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kombu_green.launcher.restart_budget import BUDGET, BudgetUse, RestartBudget


def take(budget: RestartBudget, times: int, *queues: str) -> list[BudgetUse]:
    return [budget.take(queues) for _ in range(times)]


def test_deaths_in_a_row_exhaust_it() -> None:
    budget = RestartBudget()
    used = take(budget, BUDGET + 4, "jobs")
    assert [one.overdrawn for one in used] == [0] * BUDGET + [1, 2, 3, 4]
    assert [number for number, one in enumerate(used) if one.exhausted] == [BUDGET], "said once"
    assert used[BUDGET].exhausted == ["jobs"]


def test_each_finished_message_gives_one_back() -> None:
    budget = RestartBudget()
    take(budget, BUDGET, "jobs")
    budget.give_back(1, {"jobs": 3})
    budget.give_back(1, {"jobs": 3})
    budget.give_back(2, {"jobs": 2})
    assert [one.overdrawn for one in take(budget, 6, "jobs")] == [0] * 5 + [1]


def test_each_queue_has_its_own_budget() -> None:
    budget = RestartBudget()
    take(budget, BUDGET, "jobs")
    budget.give_back(1, {"mails": 10**6})
    assert budget.take(["mails"]).overdrawn == 0
    assert budget.take(["jobs", "mails"]) == BudgetUse(1, ["jobs"])


def test_messages_finished_before_a_death_add_nothing() -> None:
    budget = RestartBudget()
    budget.give_back(1, {"jobs": 10**6})
    assert take(budget, BUDGET + 1, "jobs")[-1].overdrawn == 1
    budget.give_back(1, {"jobs": 10**6 + 1})
    assert budget.take(["jobs"]).overdrawn == 1


def test_a_new_process_counts_from_zero() -> None:
    budget = RestartBudget()
    budget.give_back(1, {"jobs": 50})
    budget.forget(1)
    take(budget, BUDGET, "jobs")
    budget.give_back(1, {"jobs": 1})
    assert [one.overdrawn for one in take(budget, 2, "jobs")] == [0, 1]


def test_a_queue_that_works_again_soon_has_its_budget_back() -> None:
    budget = RestartBudget()
    take(budget, 1000, "jobs")
    budget.give_back(1, {"jobs": 50})
    used = take(budget, BUDGET + 1, "jobs")
    assert [one.overdrawn for one in used] == [0] * BUDGET + [1]
    assert used[-1].exhausted == ["jobs"]


def test_a_death_without_messages_takes_nothing() -> None:
    assert RestartBudget().take([]) == BudgetUse(0, [])


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=200))
def test_restarts_at_once_are_bounded_by_the_budget_and_finished_messages(steps: list[tuple[int, bool]]) -> None:
    budget, handled, at_once = RestartBudget(), 0, 0
    for more, dies in steps:
        handled += more
        budget.give_back(1, {"jobs": handled})
        at_once += dies and not budget.take(["jobs"]).overdrawn
    assert at_once <= BUDGET + handled
