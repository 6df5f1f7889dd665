"""Settings of the command line on their way to a child."""

from __future__ import annotations

import os

import pytest

from kombu_green.ipc.overrides import read_overrides, write_overrides


def test_every_child_reads_the_same_and_closes_its_own_descriptor() -> None:
    given = ["broker.url=amqp://u:p@h/\N{SNOWMAN}", "worker.path=/\udcff", "a.b=c\nd=e"]
    fd = write_overrides(given)
    first, second = os.dup(fd), os.dup(fd)
    assert read_overrides(first) == read_overrides(second) == given
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(first)
    assert read_overrides(fd) == given
