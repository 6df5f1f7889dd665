"""What the command lines of kombu-worker, its verbs and its child processes have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from kombu_green.config.ini import split_override
from kombu_green.config.kinds import read_count
from kombu_green.url import mask

__all__ = ["CommandLineParser", "add_settings_options", "argument_type", "positive_integer"]

T = TypeVar("T")


class CommandLineParser(argparse.ArgumentParser):
    """Masks passwords in what it says is wrong, as an argument may be a broker's URL in the wrong place."""

    def error(self, message: str) -> NoReturn:
        super().error(mask(message))


def argument_type(read: Callable[[str], T]) -> Callable[[str], T]:
    """*read* as a ``type`` for argparse, which then shows the user the text of its ``ValueError``."""

    def read_argument(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(mask(str(error))) from None

    return read_argument


def positive_integer(text: str) -> int:
    """A ``type`` for argparse: a whole number, 1 or more."""
    return argument_type(read_count)(text)


def add_settings_options(parser: argparse.ArgumentParser, set_help: str = "as for the worker") -> None:
    """Add ``-c FILE`` (a path, in ``file``) and ``--set`` (a list of texts, in ``overrides``)."""
    parser.add_argument("-c", "--config", dest="file", type=Path, required=True, metavar="FILE", help="the ini file")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        type=argument_type(_override),
        metavar="SECTION.KEY=VALUE",
        help=set_help,
    )


def _override(text: str) -> str:
    split_override(text)
    return text
