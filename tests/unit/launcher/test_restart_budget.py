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


def test_what_is_handled_pays_back_one_for_one() -> None:
    budget = RestartBudget()
    take(budget, BUDGET, "jobs")
    budget.give_back(1, {"jobs": 3})
    budget.give_back(1, {"jobs": 3})
    budget.give_back(2, {"jobs": 2})
    assert [one.overdrawn for one in take(budget, 6, "jobs")] == [0] * 5 + [1]


def test_another_queue_pays_nothing_back_and_has_its_own() -> None:
    budget = RestartBudget()
    take(budget, BUDGET, "jobs")
    budget.give_back(1, {"mails": 10**6})
    assert budget.take(["mails"]).overdrawn == 0
    assert budget.take(["jobs", "mails"]) == BudgetUse(1, ["jobs"])


def test_what_was_handled_before_is_no_budget_for_later() -> None:
    budget = RestartBudget()
    budget.give_back(1, {"jobs": 10**6})
    assert take(budget, BUDGET + 1, "jobs")[-1].overdrawn == 1
    budget.give_back(1, {"jobs": 10**6 + 1})
    assert budget.take(["jobs"]).overdrawn == 1


def test_a_new_process_counts_from_nothing() -> None:
    budget = RestartBudget()
    budget.give_back(1, {"jobs": 50})
    budget.forget(1)
    take(budget, BUDGET, "jobs")
    budget.give_back(1, {"jobs": 1})
    assert [one.overdrawn for one in take(budget, 2, "jobs")] == [0, 1]


def test_what_is_mended_is_soon_forgiven_and_said_again_when_it_breaks_again() -> None:
    budget = RestartBudget()
    take(budget, 1000, "jobs")
    budget.give_back(1, {"jobs": 50})
    used = take(budget, BUDGET + 1, "jobs")
    assert [one.overdrawn for one in used] == [0] * BUDGET + [1]
    assert used[-1].exhausted == ["jobs"]


def test_a_death_without_anybody_costs_nothing() -> None:
    assert RestartBudget().take([]) == BudgetUse(0, [])


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=200))
def test_no_more_deaths_at_once_than_were_handled_and_the_budget(steps: list[tuple[int, bool]]) -> None:
    budget, handled, at_once = RestartBudget(), 0, 0
    for more, dies in steps:
        handled += more
        budget.give_back(1, {"jobs": handled})
        at_once += dies and not budget.take(["jobs"]).overdrawn
    assert at_once <= BUDGET + handled
