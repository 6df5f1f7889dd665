"""Whom a death is blamed on, and what follows: every line of the table, and what no death may do."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.ipc.recorder import IDLE, NOBODY, Row, RowState
from kombu_green.launcher.blame import (
    ELSEWHERE,
    Charge,
    Death,
    Finding,
    Manner,
    Record,
    Word,
    charged,
    elsewhere,
    findings,
    manner,
    word,
)

KILL, SEGV, TERM = -signal.SIGKILL, -signal.SIGSEGV, -signal.SIGTERM


def row(number: int, *, key: bytes | None = None, state: RowState = RowState.RUNNING, since: float = 5.0) -> Row:
    return Row(number, "jobs", "app:handle", (key or b"%d" % number).ljust(16, b"\0"), f"m{number}", since, 0.0, state)


ROWS = [row(1), row(2), row(3)]
THREAD = row(4, state=RowState.OFFLOADED)


@pytest.mark.parametrize(
    ("code", "known", "expected"),
    [
        (0, {"leave": True}, Manner.ORDERLY),
        (SEGV, {"leave": True}, Manner.ORDERLY),
        (78, {"leave": True, "ready": False}, Manner.ORDERLY),
        (0, {}, Manner.CRASHED),
        (1, {}, Manner.CRASHED),
        (1, {"leaving": True}, Manner.ORDERLY),
        (1, {"leaving": True, "hub": 2}, Manner.CRASHED),
        (3, {"leaving": True}, Manner.CRASHED),
        (70, {}, Manner.ORDERLY),
        (78, {}, Manner.CRASHED),
        (78, {"ready": False}, Manner.ORDERLY),
        (78, {"ready": False, "hub": 1}, Manner.CRASHED),
        (78, {"ready": False, "hub": NOBODY}, Manner.ORDERLY),
        (KILL, {}, Manner.OUTSIDE),
        (TERM, {}, Manner.OUTSIDE),
        (SEGV, {}, Manner.CRASHED),
        (-signal.SIGABRT, {}, Manner.CRASHED),
        (-signal.SIGABRT, {"doom": Manner.HUNG}, Manner.HUNG),
        (KILL, {"doom": Manner.OVERDUE}, Manner.OVERDUE),
        (KILL, {"doom": Manner.MEMORY}, Manner.MEMORY),
        (0, {"doom": Manner.HUNG, "leave": True}, Manner.ORDERLY),
    ],
)
def test_how_it_ended(code: int, known: dict[str, object], expected: Manner) -> None:
    assert manner(code, **{"leave": False} | known) is expected  # type: ignore[arg-type]


A, B, C = (Charge.HUB, Charge.OFFLOADED, Charge.PRESENT)


@pytest.mark.parametrize(
    ("how", "hub", "rows", "charges"),
    [
        (Manner.ORDERLY, 2, [*ROWS, THREAD], {}),
        (Manner.OUTSIDE, 2, ROWS, {2: A}),
        (Manner.OUTSIDE, 2, [*ROWS, THREAD], {2: A}),
        (Manner.OUTSIDE, IDLE, [*ROWS, THREAD], {}),
        (Manner.HUNG, 2, [*ROWS, THREAD], {2: A, 4: B}),
        (Manner.MEMORY, IDLE, [*ROWS, THREAD], {1: C, 2: C, 3: C, 4: B}),
        (Manner.OUTSIDE, IDLE, ROWS, {}),
        (Manner.OUTSIDE, NOBODY, ROWS, {}),
        (Manner.CRASHED, 3, ROWS, {3: A}),
        (Manner.CRASHED, IDLE, ROWS, {1: C, 2: C, 3: C}),
        (Manner.CRASHED, NOBODY, ROWS, {1: C, 2: C, 3: C}),
        (Manner.CRASHED, IDLE, [*ROWS, THREAD], {1: C, 2: C, 3: C, 4: B}),
        (Manner.CRASHED, 9, ROWS, {1: C, 2: C, 3: C}),  # it had been settled, and nobody was switched to since
        (Manner.CRASHED, IDLE, [], {}),
        (Manner.HUNG, 1, ROWS, {1: A}),
        (Manner.HUNG, NOBODY, ROWS, {1: C, 2: C, 3: C}),
        (Manner.MEMORY, 1, ROWS, {1: A}),
        (Manner.MEMORY, IDLE, ROWS, {1: C, 2: C, 3: C}),
    ],
)
def test_who_is_charged(how: Manner, hub: int, rows: Sequence[Row], charges: dict[int, Charge]) -> None:
    found = findings(Death(how, "ended", hub, rows))
    assert {finding.row.number: finding.charge for finding in found} == charges
    assert all(finding.sure is (finding.charge is A and how is not Manner.OUTSIDE) for finding in found)
    assert all(finding.blames is (finding.charge is not C) for finding in found)


@pytest.mark.parametrize(
    ("how", "hub", "charges"),
    [
        (Manner.CRASHED, IDLE, {2: Charge.SUSPECT}),
        (Manner.HUNG, NOBODY, {2: Charge.SUSPECT}),
        (Manner.CRASHED, 2, {2: Charge.HUB}),
        (Manner.CRASHED, 1, {1: Charge.HUB}),
        (Manner.OUTSIDE, IDLE, {}),
        (Manner.ORDERLY, 2, {}),
    ],
)
def test_with_a_suspect_that_ran(how: Manner, hub: int, charges: dict[int, Charge]) -> None:
    found = findings(Death(how, "ended", hub, ROWS), suspect=ROWS[1].key.hex())
    assert {finding.row.number: finding.charge for finding in found} == charges


@pytest.mark.parametrize(
    ("hub", "suspect", "charges"),
    [
        (IDLE, None, {4: Charge.STARVED}),
        (2, None, {2: Charge.HUB, 4: Charge.STARVED}),
        (2, THREAD, {2: Charge.HUB, 4: Charge.SUSPECT}),
        (IDLE, THREAD, {4: Charge.SUSPECT}),
        (IDLE, ROWS[0], {4: Charge.STARVED}),
    ],
)
def test_memory_that_ran_out_is_what_a_thread_may_have_done(
    hub: int, suspect: Row | None, charges: dict[int, Charge]
) -> None:
    death = Death(Manner.OUTSIDE, "was ended by SIGKILL", hub, [*ROWS, THREAD], starved=True)
    found = findings(death, None if suspect is None else suspect.key.hex())
    assert {finding.row.number: finding.charge for finding in found} == charges
    assert not any(finding.sure for finding in found)


def test_who_works_in_a_thread_survives_any_number_of_kills() -> None:
    death = Death(Manner.OUTSIDE, "was ended by SIGKILL", IDLE, [THREAD])
    assert record(*[finding for _ in range(50) for finding in findings(death)]) is None


def test_one_that_eats_all_memory_in_a_thread_is_parked_after_six() -> None:
    death = Death(Manner.OUTSIDE, "was ended by SIGKILL", IDLE, [THREAD], starved=True)
    found: list[Finding] = []
    said = []
    for _ in range(6):
        said.append(word(record(*found), suspect_runs=False))
        found += findings(death, THREAD.key.hex() if said[-1] is Word.SUSPECT else None)
    assert said == [Word.START] * 3 + [Word.SUSPECT] * 3
    assert word(record(*found), suspect_runs=False) is Word.PARK


def test_a_suspect_that_ran_elsewhere_takes_nothing_upon_it() -> None:
    assert len(findings(Death(Manner.CRASHED, "ended", IDLE, ROWS), suspect=row(7).key.hex())) == 3


def test_a_hard_time_limit_is_for_those_beyond_it_alone() -> None:
    death = Death(Manner.OVERDUE, "ended", 1, [*ROWS, THREAD], overdue={(2, 5.0), (4, 5.0)})
    assert {finding.row.number: finding.charge for finding in findings(death)} == {2: Charge.OVERDUE, 4: Charge.OVERDUE}
    fresh = Death(Manner.OVERDUE, "ended", 1, [row(2, since=9.0)], overdue={(2, 5.0)})
    assert findings(fresh) == [], "another message has the row by now"


def test_what_is_there_twice_is_charged_once() -> None:
    same = [row(number, key=b"same") for number in (1, 2, 3)]
    assert len(findings(Death(Manner.CRASHED, "ended", IDLE, same))) == 1
    (found,) = findings(Death(Manner.CRASHED, "ended", 3, same))
    assert found.charge is Charge.HUB


@given(
    st.sampled_from(Manner),
    st.sampled_from([IDLE, NOBODY, 1, 2, 3, 9]),
    st.lists(st.sampled_from(RowState), max_size=4),
    st.booleans(),
)
def test_whatever_the_death(how: Manner, hub: int, states: Sequence[RowState], suspected: bool) -> None:
    rows = [row(number, state=state) for number, state in enumerate(states, 1)]
    found = findings(Death(how, "ended", hub, rows), suspect=rows[0].key.hex() if suspected and rows else None)
    keys = [finding.key for finding in found]
    assert len(keys) == len(set(keys))
    blamed = {finding.row.number for finding in found if finding.blames}
    marked = {finding.row.number for finding in found} - blamed
    if hub in {one.number for one in rows}:
        assert not marked, "somebody had the hub"
        innocent = {one.number for one in rows if one.state is RowState.RUNNING} - {hub}
        assert not blamed & innocent
    if how in (Manner.ORDERLY, Manner.OUTSIDE):
        assert not marked
    if how is Manner.ORDERLY:
        assert not blamed


HAD_THE_HUB = Finding(row(1), Charge.HUB, "exited with code 3")
KILLED = Finding(row(1), Charge.HUB, "was ended by SIGKILL", outside=True)
THREADED = Finding(row(1), Charge.OFFLOADED, "exited with code 3")
LATE = Finding(row(1), Charge.OVERDUE, "was ended for a hard time limit")
MARKED = Finding(row(1), Charge.PRESENT, "exited with code 3")


def record(*found: Finding) -> Record | None:
    known = None
    for at, finding in enumerate(found):
        known = charged(known, finding, 100.0 + at)
    return known


@pytest.mark.parametrize(
    ("found", "suspect_runs", "expected"),
    [
        ([], False, Word.START),
        ([], True, Word.START),
        ([HAD_THE_HUB] * 2, True, Word.START),
        ([HAD_THE_HUB] * 3, False, Word.PARK),
        ([HAD_THE_HUB] * 4, True, Word.PARK),
        ([MARKED] * 2, False, Word.START),
        ([MARKED] * 3, False, Word.SUSPECT),
        ([MARKED] * 3, True, Word.HOLD),
        ([*[MARKED] * 3, *[HAD_THE_HUB] * 2], False, Word.SUSPECT),
        ([*[MARKED] * 3, *[HAD_THE_HUB] * 3], True, Word.PARK),
    ],
)
def test_the_answer(found: Sequence[Finding], suspect_runs: bool, expected: Word) -> None:
    assert word(record(*found), suspect_runs=suspect_runs) is expected


@pytest.mark.parametrize(
    ("found", "elsewhere", "expected"),
    [
        ([HAD_THE_HUB] * 2, ELSEWHERE, Word.PARK),
        ([HAD_THE_HUB] * 2, ELSEWHERE - 1, Word.START),
        ([HAD_THE_HUB], 10**6, Word.START),
        ([KILLED, HAD_THE_HUB], 10**6, Word.START),
        ([THREADED] * 2, 10**6, Word.START),
        ([*[MARKED] * 3, HAD_THE_HUB], 10**6, Word.SUSPECT),
        ([HAD_THE_HUB, MARKED, LATE], ELSEWHERE, Word.PARK),
        ([KILLED] * 3, 0, Word.PARK),
    ],
)
def test_what_was_taken_elsewhere_needs_fewer_blames_if_they_are_sure(
    found: Sequence[Finding], elsewhere: int, expected: Word
) -> None:
    assert word(record(*found), suspect_runs=False, elsewhere=elsewhere) is expected


@given(st.lists(st.sampled_from([HAD_THE_HUB, MARKED, KILLED, THREADED]), max_size=5), st.integers(0, 100))
def test_no_count_parks_what_is_not_blamed(found: Sequence[Finding], elsewhere: int) -> None:
    if word(record(*found), suspect_runs=False, elsewhere=elsewhere) is Word.PARK:
        assert sum(finding.blames for finding in found) >= 3 or found.count(HAD_THE_HUB) >= 2


@pytest.mark.parametrize(
    ("taken", "here", "known", "expected"),
    [
        (7, 2, None, 5),
        (7, 0, record(HAD_THE_HUB, MARKED), 5),
        (7, 3, record(HAD_THE_HUB, MARKED), 4),
        (0, 3, record(HAD_THE_HUB), 0),
    ],
)
def test_how_often_it_was_taken_elsewhere(taken: int, here: int, known: Record | None, expected: int) -> None:
    assert elsewhere(taken, here, known) == expected


def test_a_record_says_what_happened_elsewhere() -> None:
    known = record(HAD_THE_HUB, HAD_THE_HUB)
    assert known is not None
    assert known.reason(6).endswith("exited with code 3; and 6 times it was taken elsewhere and came back")


def test_a_record_says_why() -> None:
    known = record(MARKED, HAD_THE_HUB, HAD_THE_HUB, HAD_THE_HUB, HAD_THE_HUB)
    assert known is not None
    assert (known.blames, known.marks, known.seen, len(known.words)) == (4, 1, 104.0, 3)
    assert known.reason().startswith(
        "its process died 4 times because of it: it had the hub when its process exited with code 3; had the hub"
    )
