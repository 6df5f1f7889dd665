"""How often deaths are followed at once: no queue more often than it has credit, and what is handled pays back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kombu_green.launcher.credit import CREDIT, Credit, Spent


def spend(credit: Credit, times: int, *queues: str) -> list[Spent]:
    return [credit.spend(queues) for _ in range(times)]


def test_deaths_in_a_row_exhaust_it() -> None:
    credit = Credit()
    spent = spend(credit, CREDIT + 4, "jobs")
    assert [one.beyond for one in spent] == [0] * CREDIT + [1, 2, 3, 4]
    assert [number for number, one in enumerate(spent) if one.exhausted] == [CREDIT], "said once"
    assert spent[CREDIT].exhausted == ["jobs"]


def test_what_is_handled_pays_back_one_for_one() -> None:
    credit = Credit()
    spend(credit, CREDIT, "jobs")
    credit.hear(1, {"jobs": 3})
    credit.hear(1, {"jobs": 3})
    credit.hear(2, {"jobs": 2})
    assert [one.beyond for one in spend(credit, 6, "jobs")] == [0] * 5 + [1]


def test_another_queue_pays_nothing_back_and_has_its_own() -> None:
    credit = Credit()
    spend(credit, CREDIT, "jobs")
    credit.hear(1, {"mails": 10**6})
    assert credit.spend(["mails"]).beyond == 0
    assert credit.spend(["jobs", "mails"]) == Spent(1, ["jobs"])


def test_what_was_handled_before_is_no_credit_for_later() -> None:
    credit = Credit()
    credit.hear(1, {"jobs": 10**6})
    assert spend(credit, CREDIT + 1, "jobs")[-1].beyond == 1
    credit.hear(1, {"jobs": 10**6 + 1})
    assert credit.spend(["jobs"]).beyond == 1


def test_a_new_process_counts_from_nothing() -> None:
    credit = Credit()
    credit.hear(1, {"jobs": 50})
    credit.forget(1)
    spend(credit, CREDIT, "jobs")
    credit.hear(1, {"jobs": 1})
    assert [one.beyond for one in spend(credit, 2, "jobs")] == [0, 1]


def test_what_is_mended_is_soon_forgiven_and_said_again_when_it_breaks_again() -> None:
    credit = Credit()
    spend(credit, 1000, "jobs")
    credit.hear(1, {"jobs": 50})
    spent = spend(credit, CREDIT + 1, "jobs")
    assert [one.beyond for one in spent] == [0] * CREDIT + [1]
    assert spent[-1].exhausted == ["jobs"]


def test_a_death_without_anybody_costs_nothing() -> None:
    assert Credit().spend([]) == Spent(0, [])


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=200))
def test_no_more_deaths_at_once_than_were_handled_and_the_credit(steps: list[tuple[int, bool]]) -> None:
    credit, handled, at_once = Credit(), 0, 0
    for more, dies in steps:
        handled += more
        credit.hear(1, {"jobs": handled})
        at_once += dies and not credit.spend(["jobs"]).beyond
    assert at_once <= CREDIT + handled
