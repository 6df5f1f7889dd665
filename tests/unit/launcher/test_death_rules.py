"""Whom a death is blamed on, and what follows: every line of the table, and what no death may do."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.ipc.recorder import IDLE, NO_ROW, Row, RowState
from kombu_green.launcher.death_rules import (
    AdmissionDecision,
    Attribution,
    AttributionReason,
    DeathKind,
    DeathRecord,
    DeathReport,
    attribute,
    death_kind,
    decide_admission,
    with_attribution,
)

KILL, SEGV, TERM = -signal.SIGKILL, -signal.SIGSEGV, -signal.SIGTERM


def row(number: int, *, key: bytes | None = None, state: RowState = RowState.RUNNING, since: float = 5.0) -> Row:
    return Row(number, "jobs", "app:handle", (key or b"%d" % number).ljust(16, b"\0"), f"m{number}", since, 0.0, state)


ROWS = [row(1), row(2), row(3)]
THREAD = row(4, state=RowState.OFFLOADED)


@pytest.mark.parametrize(
    ("code", "known", "expected"),
    [
        (0, {"orderly": True}, DeathKind.ORDERLY),
        (SEGV, {"orderly": True}, DeathKind.ORDERLY),
        (78, {"orderly": True, "ready": False}, DeathKind.ORDERLY),
        (0, {}, DeathKind.CRASHED),
        (1, {}, DeathKind.CRASHED),
        (1, {"leaving": True}, DeathKind.ORDERLY),
        (1, {"leaving": True, "hub": 2}, DeathKind.CRASHED),
        (3, {"leaving": True}, DeathKind.CRASHED),
        (70, {}, DeathKind.ORDERLY),
        (78, {}, DeathKind.CRASHED),
        (78, {"ready": False}, DeathKind.ORDERLY),
        (78, {"ready": False, "hub": 1}, DeathKind.CRASHED),
        (78, {"ready": False, "hub": NO_ROW}, DeathKind.ORDERLY),
        (KILL, {}, DeathKind.FROM_OUTSIDE),
        (TERM, {}, DeathKind.FROM_OUTSIDE),
        (SEGV, {}, DeathKind.CRASHED),
        (-signal.SIGABRT, {}, DeathKind.CRASHED),
        (-signal.SIGABRT, {"ended_for": DeathKind.HUNG}, DeathKind.HUNG),
        (KILL, {"ended_for": DeathKind.OVER_TIME_LIMIT}, DeathKind.OVER_TIME_LIMIT),
        (KILL, {"ended_for": DeathKind.OVER_MEMORY_LIMIT}, DeathKind.OVER_MEMORY_LIMIT),
        (0, {"ended_for": DeathKind.HUNG, "orderly": True}, DeathKind.ORDERLY),
    ],
)
def test_the_kind_of_a_death(code: int, known: dict[str, object], expected: DeathKind) -> None:
    assert death_kind(code, **{"orderly": False} | known) is expected  # type: ignore[arg-type]


A, B, C = (AttributionReason.HAD_HUB, AttributionReason.IN_THREAD, AttributionReason.RAN_BESIDE)


@pytest.mark.parametrize(
    ("how", "hub", "rows", "reasons"),
    [
        (DeathKind.ORDERLY, 2, [*ROWS, THREAD], {}),
        (DeathKind.FROM_OUTSIDE, 2, ROWS, {2: A}),
        (DeathKind.FROM_OUTSIDE, 2, [*ROWS, THREAD], {2: A}),
        (DeathKind.FROM_OUTSIDE, IDLE, [*ROWS, THREAD], {}),
        (DeathKind.HUNG, 2, [*ROWS, THREAD], {2: A, 4: B}),
        (DeathKind.OVER_MEMORY_LIMIT, IDLE, [*ROWS, THREAD], {1: C, 2: C, 3: C, 4: B}),
        (DeathKind.FROM_OUTSIDE, IDLE, ROWS, {}),
        (DeathKind.FROM_OUTSIDE, NO_ROW, ROWS, {}),
        (DeathKind.CRASHED, 3, ROWS, {3: A}),
        (DeathKind.CRASHED, IDLE, ROWS, {1: C, 2: C, 3: C}),
        (DeathKind.CRASHED, NO_ROW, ROWS, {1: C, 2: C, 3: C}),
        (DeathKind.CRASHED, IDLE, [*ROWS, THREAD], {1: C, 2: C, 3: C, 4: B}),
        (DeathKind.CRASHED, 9, ROWS, {1: C, 2: C, 3: C}),  # it had been settled, and no greenlet was switched to since
        (DeathKind.CRASHED, IDLE, [], {}),
        (DeathKind.HUNG, 1, ROWS, {1: A}),
        (DeathKind.HUNG, NO_ROW, ROWS, {1: C, 2: C, 3: C}),
        (DeathKind.OVER_MEMORY_LIMIT, 1, ROWS, {1: A}),
        (DeathKind.OVER_MEMORY_LIMIT, IDLE, ROWS, {1: C, 2: C, 3: C}),
    ],
)
def test_which_messages_a_death_is_attributed_to(
    how: DeathKind, hub: int, rows: Sequence[Row], reasons: dict[int, AttributionReason]
) -> None:
    found = attribute(DeathReport(how, "ended", hub, rows))
    assert {attribution.row.number: attribution.reason for attribution in found} == reasons
    assert all(attribution.is_blame is (attribution.reason is not C) for attribution in found)


@pytest.mark.parametrize(
    ("how", "hub", "reasons"),
    [
        (DeathKind.CRASHED, IDLE, {2: AttributionReason.SUSPECT}),
        (DeathKind.HUNG, NO_ROW, {2: AttributionReason.SUSPECT}),
        (DeathKind.CRASHED, 2, {2: AttributionReason.HAD_HUB}),
        (DeathKind.CRASHED, 1, {1: AttributionReason.HAD_HUB}),
        (DeathKind.FROM_OUTSIDE, IDLE, {}),
        (DeathKind.ORDERLY, 2, {}),
    ],
)
def test_the_running_suspect_is_blamed_when_no_row_had_the_hub(
    how: DeathKind, hub: int, reasons: dict[int, AttributionReason]
) -> None:
    found = attribute(DeathReport(how, "ended", hub, ROWS), suspect=ROWS[1].key.hex())
    assert {attribution.row.number: attribution.reason for attribution in found} == reasons


@pytest.mark.parametrize(
    ("hub", "suspect", "reasons"),
    [
        (IDLE, None, {4: AttributionReason.IN_THREAD_WITHOUT_MEMORY}),
        (2, None, {2: AttributionReason.HAD_HUB, 4: AttributionReason.IN_THREAD_WITHOUT_MEMORY}),
        (2, THREAD, {2: AttributionReason.HAD_HUB, 4: AttributionReason.SUSPECT}),
        (IDLE, THREAD, {4: AttributionReason.SUSPECT}),
        (IDLE, ROWS[0], {4: AttributionReason.IN_THREAD_WITHOUT_MEMORY}),
    ],
)
def test_when_memory_runs_out_messages_in_threads_are_marked(
    hub: int, suspect: Row | None, reasons: dict[int, AttributionReason]
) -> None:
    death = DeathReport(DeathKind.FROM_OUTSIDE, "was ended by SIGKILL", hub, [*ROWS, THREAD], out_of_memory=True)
    found = attribute(death, None if suspect is None else suspect.key.hex())
    assert {attribution.row.number: attribution.reason for attribution in found} == reasons


def test_a_message_in_a_thread_is_not_blamed_for_kills_from_outside() -> None:
    death = DeathReport(DeathKind.FROM_OUTSIDE, "was ended by SIGKILL", IDLE, [THREAD])
    assert record(*[attribution for _ in range(50) for attribution in attribute(death)]) is None


def test_a_message_that_uses_up_all_memory_in_a_thread_is_parked_after_six_deaths() -> None:
    death = DeathReport(DeathKind.FROM_OUTSIDE, "was ended by SIGKILL", IDLE, [THREAD], out_of_memory=True)
    found: list[Attribution] = []
    said = []
    for _ in range(6):
        said.append(decide_admission(record(*found), suspect_runs=False))
        found += attribute(death, THREAD.key.hex() if said[-1] is AdmissionDecision.START_AS_SUSPECT else None)
    assert said == [AdmissionDecision.START] * 3 + [AdmissionDecision.START_AS_SUSPECT] * 3
    assert decide_admission(record(*found), suspect_runs=False) is AdmissionDecision.PARK


def test_a_suspect_in_another_process_is_not_blamed() -> None:
    assert len(attribute(DeathReport(DeathKind.CRASHED, "ended", IDLE, ROWS), suspect=row(7).key.hex())) == 3


def test_only_messages_over_their_hard_time_limit_are_blamed_for_it() -> None:
    death = DeathReport(DeathKind.OVER_TIME_LIMIT, "ended", 1, [*ROWS, THREAD], over_limit={(2, 5.0), (4, 5.0)})
    assert {attribution.row.number: attribution.reason for attribution in attribute(death)} == {
        2: AttributionReason.OVER_TIME_LIMIT,
        4: AttributionReason.OVER_TIME_LIMIT,
    }
    fresh = DeathReport(DeathKind.OVER_TIME_LIMIT, "ended", 1, [row(2, since=9.0)], over_limit={(2, 5.0)})
    assert attribute(fresh) == [], "another message has the row by now"


def test_a_key_in_several_rows_is_attributed_once() -> None:
    same = [row(number, key=b"same") for number in (1, 2, 3)]
    assert len(attribute(DeathReport(DeathKind.CRASHED, "ended", IDLE, same))) == 1
    (found,) = attribute(DeathReport(DeathKind.CRASHED, "ended", 3, same))
    assert found.reason is AttributionReason.HAD_HUB


@given(
    st.sampled_from(DeathKind),
    st.sampled_from([IDLE, NO_ROW, 1, 2, 3, 9]),
    st.lists(st.sampled_from(RowState), max_size=4),
    st.booleans(),
)
def test_what_holds_for_every_death(how: DeathKind, hub: int, states: Sequence[RowState], suspected: bool) -> None:
    rows = [row(number, state=state) for number, state in enumerate(states, 1)]
    found = attribute(DeathReport(how, "ended", hub, rows), suspect=rows[0].key.hex() if suspected and rows else None)
    keys = [attribution.key for attribution in found]
    assert len(keys) == len(set(keys))
    blamed = {attribution.row.number for attribution in found if attribution.is_blame}
    marked = {attribution.row.number for attribution in found} - blamed
    if hub in {one.number for one in rows}:
        assert not marked, "a row had the hub"
        innocent = {one.number for one in rows if one.state is RowState.RUNNING} - {hub}
        assert not blamed & innocent
    if how in (DeathKind.ORDERLY, DeathKind.FROM_OUTSIDE):
        assert not marked
    if how is DeathKind.ORDERLY:
        assert not blamed


HAD_THE_HUB = Attribution(row(1), AttributionReason.HAD_HUB, "exited with code 3")
KILLED = Attribution(row(1), AttributionReason.HAD_HUB, "was ended by SIGKILL")
THREADED = Attribution(row(1), AttributionReason.IN_THREAD, "exited with code 3")
LATE = Attribution(row(1), AttributionReason.OVER_TIME_LIMIT, "was ended for a hard time limit")
MARKED = Attribution(row(1), AttributionReason.RAN_BESIDE, "exited with code 3")


def record(*found: Attribution) -> DeathRecord | None:
    known = None
    for at, attribution in enumerate(found):
        known = with_attribution(known, attribution, 100.0 + at)
    return known


@pytest.mark.parametrize(
    ("found", "suspect_runs", "expected"),
    [
        ([], False, AdmissionDecision.START),
        ([], True, AdmissionDecision.START),
        ([HAD_THE_HUB] * 2, True, AdmissionDecision.START),
        ([HAD_THE_HUB] * 3, False, AdmissionDecision.PARK),
        ([HAD_THE_HUB] * 4, True, AdmissionDecision.PARK),
        ([MARKED] * 2, False, AdmissionDecision.START),
        ([MARKED] * 3, False, AdmissionDecision.START_AS_SUSPECT),
        ([MARKED] * 3, True, AdmissionDecision.WAIT),
        ([*[MARKED] * 3, *[HAD_THE_HUB] * 2], False, AdmissionDecision.START_AS_SUSPECT),
        ([*[MARKED] * 3, *[HAD_THE_HUB] * 3], True, AdmissionDecision.PARK),
    ],
)
def test_the_decision_by_blames_and_marks(
    found: Sequence[Attribution], suspect_runs: bool, expected: AdmissionDecision
) -> None:
    assert decide_admission(record(*found), suspect_runs=suspect_runs) is expected


@given(st.lists(st.sampled_from([HAD_THE_HUB, MARKED, KILLED, THREADED, LATE]), max_size=5), st.booleans())
def test_three_blames_park_and_nothing_else_does(found: Sequence[Attribution], suspect_runs: bool) -> None:
    parked = decide_admission(record(*found), suspect_runs=suspect_runs) is AdmissionDecision.PARK
    assert parked is (sum(attribution.is_blame for attribution in found) >= 3)


def test_the_summary_of_a_record_names_its_last_blames() -> None:
    known = record(MARKED, HAD_THE_HUB, HAD_THE_HUB, HAD_THE_HUB, HAD_THE_HUB)
    assert known is not None
    assert (known.blames, known.marks, known.seen, len(known.reasons)) == (4, 1, 104.0, 3)
    assert known.summary.startswith(
        "its process died 4 times because of it: it had the hub when its process exited with code 3; had the hub"
    )
