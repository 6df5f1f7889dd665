"""What the command lines of several verbs have in common."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from kombu_green.config.command_line import add_settings_options, argument_type, positive_integer


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="verb")
    add_settings_options(parser)
    parser.add_argument("--limit", type=positive_integer)
    parser.add_argument("--half", type=argument_type(float))
    return parser


def test_right_arguments_are_read(parser: argparse.ArgumentParser) -> None:
    given = parser.parse_args(["-c", "w.ini", "--set", "a.b=1", "--set", "c.d=x=y", "--limit", "7", "--half", "0.5"])
    assert (given.file, given.overrides) == (Path("w.ini"), ["a.b=1", "c.d=x=y"])
    assert (given.limit, given.half) == (7, 0.5)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--set=processes=2", "argument --set: 'processes' does not say what to set: write section.key=value"),
        ("--set=worker.processes", "argument --set: 'worker.processes' does not say"),
        *(
            (f"--limit={text}", f"argument --limit: {text!r} is not a whole number from 1")
            for text in ("0", "x", "1.5")
        ),
        ("--limit=²", "'²' is not a whole number from 1"),
        ("--half=x", "argument --half: could not convert string to float: 'x'"),
    ],
)
def test_wrong_arguments_are_explained(
    parser: argparse.ArgumentParser, argument: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser.parse_args(["-c", "w.ini", argument])
    assert said in capsys.readouterr().err
