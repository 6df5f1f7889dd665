"""The command line of ``kombu-worker``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kombu_green.config.commandline import add_settings, count
from kombu_green.plugins import load

__all__ = ["Arguments", "parse"]

_EXIT_CODES: Final = """\
exit codes:
  0    drained: everything that was begun is finished
  1    the deadline passed, and what was left was given back to the broker
  2    the command line is wrong
  78   cannot boot: the configuration, a callback or the broker's address is wrong
  130  interrupted twice: everything unfinished was given back at once

SIGTERM and SIGINT (Ctrl-C) drain within [worker] graceful_timeout; a second SIGINT, and SIGQUIT, end at once.
SIGHUP reads the file again and replaces the processes without a gap; what cannot start leaves the old ones running.
SIGTTIN and SIGTTOU: one process more, one less.  SIGUSR1 writes the state and every greenlet's stack to the log.
"""


@dataclass(frozen=True, slots=True)
class Arguments:
    file: Path
    check: bool
    overrides: list[str]  # section.key=value
    stop_with_parent: bool = False


def parse(argv: Sequence[str] | None) -> Arguments:
    """What *argv* asks for; ``SystemExit`` with code 2 for what nobody understands, else with 0 (``--help``)."""
    given = _parser().parse_args(argv)
    overrides: list[str] = list(given.overrides)
    if given.processes is not None:
        overrides.append(f"worker.processes={given.processes}")
    if given.concurrency is not None:
        overrides.append(f"worker.concurrency={given.concurrency}")
    return Arguments(given.file, given.check, overrides, given.stop_with_parent)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kombu-worker",
        usage="kombu-worker -c FILE [options], kombu-worker status -c FILE, or kombu-worker dead ls -c FILE QUEUE",
        description="Runs the worker processes that an ini file describes, until it is told to stop."
        "  What status and dead do is told by kombu-worker status --help and kombu-worker dead --help.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_settings(parser, "a value on top of the file's, as often as needed; relative paths start from this folder")
    parser.add_argument(
        "--check",
        action="store_true",
        help="start nothing: print every setting with where it came from, and what the transport can do",
    )
    parser.add_argument("--processes", type=count, metavar="N", help="the same as --set worker.processes=N")
    parser.add_argument(
        "--concurrency",
        type=count,
        metavar="N",
        help="the same as --set worker.concurrency=N, which a consumer's own concurrency overrules",
    )
    parser.add_argument(
        "--stop-with-parent",
        action="store_true",
        help="drain when the process that started this one has ended; for supervisors that cannot take over what an"
        " earlier one left running",
    )
    parser.add_argument("--version", action="version", version=f"kombu-worker {load('kombu_green:__version__')}")
    return parser
