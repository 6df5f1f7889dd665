"""What parent and child say: every note survives the trip in any pieces, and no bytes can hurt the reader."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.ipc.messages import (
    LONGEST_LINE,
    AdmissionClosed,
    AdmissionReply,
    AdmissionRequest,
    CannotBoot,
    ChildReady,
    ChildStandby,
    ChildStarted,
    ChildStopped,
    DrainOrder,
    Heartbeat,
    LineReader,
    Malformed,
    Note,
    ReleaseOrder,
    decode,
    encode,
)

counts = st.integers(0, 2**63)
notes: st.SearchStrategy[Note] = st.one_of(
    st.builds(ChildStarted, pid=counts),
    st.builds(ChildReady),
    st.builds(Heartbeat, running=counts, handled=counts, retried=counts, dead_lettered=counts),
    st.builds(ChildStopped, released=counts),
    st.builds(CannotBoot, problems=st.lists(st.text(max_size=50), max_size=5)),
    st.builds(DrainOrder, timeout=st.floats(0, 1e9)),
    st.builds(ReleaseOrder),
    st.builds(ChildStandby),
    st.builds(AdmissionRequest, row=counts, key=st.text(max_size=40), queue=st.text(max_size=40)),
    st.builds(AdmissionClosed, row=counts, key=st.text(max_size=40), back=st.booleans()),
    st.builds(AdmissionReply, row=counts, park=st.text(max_size=200)),
)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """*stream* in pieces, cut at *places* (modulo its length)."""
    ends = sorted({place % (len(stream) + 1) for place in places} | {0, len(stream)})
    return [stream[start:end] for start, end in itertools.pairwise(ends)]


@given(st.lists(notes, max_size=8), st.lists(st.integers(0, 5000), max_size=20))
def test_notes_survive_in_any_pieces(said: list[Note], places: list[int]) -> None:
    reader = LineReader()
    heard = [note for piece in cut(b"".join(map(encode, said)), places) for note in reader.feed(piece)]
    assert heard == said


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_no_bytes_make_the_reader_fail(pieces: list[bytes]) -> None:
    reader = LineReader()
    for piece in pieces:
        reader.feed(piece)
    assert reader.feed(b"\n" + encode(ChildReady()))[-1] == ChildReady()


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=5,
)


@given(st.sampled_from(["started", "heartbeat", "stopped", "cannot_boot", "drain", "release"]), json_values)
def test_fields_have_the_declared_types(kind: str, value: Any) -> None:
    for field in ("pid", "running", "released", "problems", "timeout"):
        line = json.dumps({"note": kind, field: value}).encode()
        try:
            note = decode(line)
        except ValueError:
            continue
        assert decode(encode(note)) == note


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"x",
        b"[]",
        b'"x"',
        b"{}",
        b'{"note": []}',
        b'{"note": "wave"}',
        b'{"note": "started"}',
        b'{"note": "started", "pid": "1"}',
        b'{"note": "started", "pid": true}',
        b'{"note": "started", "pid": -1}',
        b'{"note": "drain", "timeout": NaN}',
        b'{"note": "drain", "timeout": Infinity}',
        b'{"note": "cannot_boot", "problems": "x"}',
        b'{"note": "cannot_boot", "problems": [1]}',
        b'{"note": "ready", "more": 1}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_lines_that_are_no_notes_are_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a note"):
        decode(line)


def test_a_bad_line_does_not_spoil_the_next_one() -> None:
    heard = LineReader().feed(encode(ChildReady()) + b"noise\n\n" + encode(ChildStopped(1)))
    assert heard == [ChildReady(), Malformed(b"noise"), ChildStopped(1)]


def test_a_line_without_an_end_is_cut() -> None:
    reader = LineReader()
    heard = [note for _ in range(20) for note in reader.feed(b"x" * (LONGEST_LINE // 4))]
    assert heard == [Malformed(b"x" * 80)]
    assert reader.feed(b"xx") == []
    assert reader.feed(b"xx\n" + encode(ChildReady())) == [ChildReady()]


def test_a_note_that_is_too_long_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="too long"):
        encode(CannotBoot(["x" * LONGEST_LINE]))
