"""A new process under an old parent must notice: whatever the two share is counted up with each change."""

from __future__ import annotations

from dataclasses import fields
from hashlib import sha256
from typing import get_args, get_type_hints

from kombu_green.ipc import recorder
from kombu_green.ipc.messages import PROTOCOL, Note
from kombu_green.ipc.phases import Phase
from kombu_green.ipc.recorder import Recorder, RecorderWord, RowState

#: what each protocol consists of; one that was released is never changed
KNOWN = {1: "46ea0a07f38d63ba", 2: "77caa557560e2c5e", 3: "2a59b72882dc9bcc"}


def digest() -> str:
    """Of the notes with their fields, and of every byte that a worker with one message at work has written."""
    notes = {
        kind.__name__: {field.name: str(get_type_hints(kind)[field.name]) for field in fields(kind)}
        for kind in get_args(Note)
    }
    made = Recorder(2)
    made.row(2).begin(made.name("q", "c"), b"a" * 40, 1.0, 2.0, RowState.OFFLOADED)
    made.row(2).end()
    made.row(2).begin(made.name("q", "c"), b"a" * 40, 1.0, 2.0, RowState.OFFLOADED)
    for word in RecorderWord:
        made.words[word] = word + 1
    shared = bytes(made._map)
    enums = [[(one.name, one.value) for one in kind] for kind in (Phase, RowState, RecorderWord)]
    return sha256(repr((sorted(notes.items()), enums, recorder.IDLE, recorder.NO_ROW, shared)).encode()).hexdigest()[
        :16
    ]


def test_a_change_of_what_is_shared_is_a_new_protocol() -> None:
    assert KNOWN.get(PROTOCOL) == digest(), "count PROTOCOL up, and write down what it consists of"
