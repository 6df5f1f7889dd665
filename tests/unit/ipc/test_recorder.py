"""What one process writes into shared memory, another reads."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from math import isfinite

import pytest

from kombu_green.ipc.message_keys import BY_ID, identity_prefix, message_key
from kombu_green.ipc.recorder import IDLE, NO_ROW, Recorder, RecorderReader, Row, RowState, anonymous_file

KEY = bytes(range(16))


def test_rows_that_are_not_free_are_read() -> None:
    fd = anonymous_file("recorder")
    recorder, recording = Recorder(3, fd), RecorderReader(fd)
    name = recorder.name("video", "media:handle")
    recorder.row(1).begin(name, KEY, 12.5)
    identity = identity_prefix("größe", BY_ID) + "nummer-ä".encode()
    recorder.row(3).begin(recorder.name("größe", "a:b"), identity, 13.5, limit=60.0, state=RowState.OFFLOADED)
    assert recording.rows() == [
        Row(1, "video", "media:handle", KEY, "", 12.5, 0.0, RowState.RUNNING),
        Row(3, "größe", "a:b", message_key(identity), "nummer-ä", 13.5, 60.0, RowState.OFFLOADED),
    ]
    recorder.row(1).end()
    assert [row.number for row in recording.rows()] == [3]
    recording.close()


def test_the_hub_word_says_who_has_the_hub() -> None:
    fd = anonymous_file("recorder")
    recorder, recording = Recorder(1, fd), RecorderReader(fd)
    for word in (1, NO_ROW, IDLE):
        recorder.words[0] = word
        assert recording.hub == word
    recording.close()


def test_stacks_are_requested_and_printed() -> None:
    fd = anonymous_file("recorder")
    recorder, recording = Recorder(1, fd), RecorderReader(fd)
    assert recording.stacks_printed
    recording.request_stacks()
    assert (recorder.words[2], recorder.words[3], recording.stacks_printed) == (1, 0, False)
    recorder.words[3] = recorder.words[2]
    assert recording.stacks_printed
    recording.close()


def test_finished_messages_are_counted_by_queue() -> None:
    fd = anonymous_file("recorder")
    recorder, recording = Recorder(4, fd), RecorderReader(fd)
    first, second, other = (recorder.row(number) for number in (1, 2, 3))
    for row, queue, messages in ((first, "jobs", 3), (second, "jobs", 2), (other, "mails", 4)):
        for _ in range(messages):
            row.begin(recorder.name(queue, "a:b"), KEY, 1.0)
            row.end()
    assert recording.finished_by_queue() == {"jobs": 3, "mails": 3}, "the last of each slot is not told yet"
    first.begin(recorder.name("jobs", "c:d"), KEY, 1.0)
    other.finished = 2**40
    other.begin(recorder.name("mails", "a:b"), KEY, 1.0)
    assert recording.finished_by_queue() == {"jobs": 4, "mails": 2**40}
    assert [row.number for row in recording.rows()] == [1, 3]
    recording.close()


def test_a_process_that_wrote_nothing_has_no_rows() -> None:
    recording = RecorderReader(anonymous_file("recorder"))
    assert (recording.rows(), recording.hub, recording.stacks_printed) == ([], IDLE, True)
    assert recording.finished_by_queue() == {}
    recording.request_stacks()  # nobody is there to be asked
    recording.close()


def test_a_file_that_is_no_recorder_has_no_rows() -> None:
    fd = anonymous_file("recorder")
    os.ftruncate(fd, 100_000)
    recording = RecorderReader(fd)
    assert (recording.rows(), recording.hub) == ([], IDLE)
    recording.close()


def test_names_without_room_are_shown_as_question_marks() -> None:
    fd = anonymous_file("recorder")
    recorder, recording = Recorder(1, fd), RecorderReader(fd)
    for number in range(1000):
        last = recorder.name("q" * 100, f"callback {number}")
    recorder.row(1).begin(last, KEY, 1.0)
    assert [(row.queue, row.callback, row.key) for row in recording.rows()] == [("?", "?", KEY)]
    recorder.row(1).begin(0, KEY, 1.0)
    assert recording.rows()[0].callback == "callback 0"
    recording.close()


@pytest.mark.parametrize("how", ["os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_what_was_written_outlives_its_writer(how: str) -> None:
    fd = anonymous_file("recorder")
    program = (
        "import os, sys; from kombu_green.ipc.recorder import Recorder\n"
        "recorder = Recorder(2, int(sys.argv[1]))\n"
        "recorder.row(2).begin(recorder.name('q', 'c'), bytes(16), 1.0); recorder.words[0] = 2\n"
    )
    subprocess.run([sys.executable, "-c", program + how, str(fd)], pass_fds=[fd], check=False, timeout=60)
    recording = RecorderReader(fd)
    assert (recording.hub, [row.number for row in recording.rows()]) == (2, [2])
    recording.close()


def test_the_reader_makes_the_key_of_any_identity() -> None:
    recorder = Recorder(2)
    name = recorder.name("q", "c")
    for identity in (KEY, b"", b"x", b"x" * 1024, b"x" * 2048, b"y" * 2048, b"z" * 100_000):
        recorder.row(1).begin(name, identity, 1.0)
        (row,) = recorder.running()
        assert row.key == message_key(identity)
        assert len(row.key) == 16
    assert message_key(KEY) == KEY
    assert message_key(b"x" * 2048) != message_key(b"y" * 2048)


def test_a_name_that_is_lost_is_not_replaced_by_a_later_one() -> None:
    recorder = Recorder(1)
    for number in range(1000):
        lost = recorder.name("q" * 100, f"callback {number}")
    recorder.name("q", "c")  # short enough for what is left of the room
    recorder.row(1).begin(lost, KEY, 1.0)
    recorder.row(1).begin(recorder.name("q", "d"), KEY, 1.0)
    assert [row.callback for row in recorder.running()] == ["?"]


@pytest.mark.parametrize("seed", range(20))
def test_corrupt_memory_does_not_make_the_reader_fail(seed: int) -> None:
    fd = anonymous_file("recorder")
    recorder, recording = Recorder(3, fd), RecorderReader(fd)
    recorder.row(1).begin(recorder.name("jobs", "a:b"), KEY, 1.0)
    recording.rows()
    garbage = random.Random(seed)
    for _ in range(50):
        piece = garbage.choice([garbage.randbytes(64), b"\xff" * 64, b'[1]\n"x"\n', b"[" * 4000])
        os.pwrite(fd, piece, garbage.choice([8, 12, 16, 64, 70, 65536, 65600]))
        for row in recording.rows():
            assert str(row)
            assert isfinite(row.since)
            assert isfinite(row.limit)
    recording.close()


def test_names_that_are_corrupt_are_shown_as_question_marks() -> None:
    fd = anonymous_file("recorder")
    recorder, recording = Recorder(1, fd), RecorderReader(fd)
    recorder.row(1).begin(recorder.name("jobs", "a:b"), KEY, 1.0)
    os.pwrite(fd, b"!", 64)
    assert [(row.queue, row.callback) for row in recording.rows()] == [("?", "?")]
    recording.close()


def test_a_row_as_text_is_one_line_whatever_the_message_id_is() -> None:
    row = Row(1, "video", "media:handle", b"k", "seven\nINFO forged", 0.0, 0.0, RowState.RUNNING)
    assert str(row) == r"message seven\nINFO forged of queue video in media:handle"
