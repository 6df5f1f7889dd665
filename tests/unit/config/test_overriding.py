"""``--set section.key=value``."""

from __future__ import annotations

from pathlib import Path

import pytest

from kombu_green.config.ini import Section, Value
from kombu_green.config.overriding import override, split
from kombu_green.config.problems import ConfigError


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("worker.processes=4", ("worker", "processes", "4")),
        ("consumer:media.concurrency=4", ("consumer:media", "concurrency", "4")),
        ("queue:video.hd.durable=no", ("queue:video.hd", "durable", "no")),
        ("queue:video.hd.arguments.x-max-length=5", ("queue:video.hd", "arguments.x-max-length", "5")),
        ("queue:video.arguments.a.b=5", ("queue:video", "arguments.a.b", "5")),
        ("broker.url=sqla+sqlite:///x.db?a=b", ("broker", "url", "sqla+sqlite:///x.db?a=b")),
        ("retry:slow.not_on=", ("retry:slow", "not_on", "")),
    ],
)
def test_where_the_section_ends(text: str, parts: tuple[str, str, str]) -> None:
    assert split(text) == parts


@pytest.mark.parametrize("text", ["", "x", "=", "worker=1", "worker.=1", ".processes=1", "worker.processes"])
def test_what_does_not_say_what_to_set(text: str) -> None:
    with pytest.raises(ValueError, match=r"write section\.key=value"):
        split(text)


def test_the_last_one_wins_and_the_files_own_stay() -> None:
    before = {"worker": Section("F:1", {"strict": Value("yes", "F:2", Path("/conf"))})}
    after = override(before, ["worker.processes=2", "worker.processes=3", "broker.url=x"], Path("/here"))
    assert {name: {k: v.text for k, v in s.values.items()} for name, s in after.items()} == {
        "worker": {"strict": "yes", "processes": "3"},
        "broker": {"url": "x"},
    }
    assert after["worker"].values["processes"] == Value("3", "--set worker.processes", Path("/here"))
    assert list(before["worker"].values) == ["strict"]


def test_all_bad_ones_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        override({}, ["a", "worker.processes=1", "b"], Path())
    assert len(caught.value.problems) == 2
