"""What the command lines of several verbs have in common: the file, values on top of it, and how values are read."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from kombu_green.config.overriding import split
from kombu_green.config.quantities import read_count

__all__ = ["add_settings", "count", "reading"]

T = TypeVar("T")


def reading(read: Callable[[str], T]) -> Callable[[str], T]:
    """*read* as argparse takes it: what its ``ValueError`` says is what the user is told."""

    def told(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return told


def count(text: str) -> int:
    """A whole number from 1, for argparse."""
    return reading(read_count)(text)


def add_settings(parser: argparse.ArgumentParser, words: str = "as for the worker") -> None:
    """``-c FILE``, read as ``file``, and ``--set``, as ``overrides``, of which *words* is the help."""
    parser.add_argument("-c", "--config", dest="file", type=Path, required=True, metavar="FILE", help="the ini file")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        type=reading(_assignment),
        metavar="SECTION.KEY=VALUE",
        help=words,
    )


def _assignment(text: str) -> str:
    split(text)
    return text
