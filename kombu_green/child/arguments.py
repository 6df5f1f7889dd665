"""The command line of ``python -m kombu_green.child``, which the launcher writes; also for running one process by
hand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kombu_green.ipc.messages import PROTOCOL

__all__ = ["Arguments", "parse"]


@dataclass(frozen=True, slots=True)
class Arguments:
    verb: str
    file: Path
    overrides: list[str]
    control_fd: int | None
    lifeline_fd: int | None
    recorder_fd: int | None
    protocol: int


def parse(argv: Sequence[str]) -> Arguments:
    """What *argv* asks for; ``SystemExit`` with code 2 for what nobody understands."""
    parser = argparse.ArgumentParser(prog="python -m kombu_green.child", allow_abbrev=False)
    parser.add_argument("verb", choices=["run", "check"])
    parser.add_argument("-c", dest="file", type=Path, required=True, metavar="FILE")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--control-fd", type=int, metavar="N", help="a socket: kombu_green.ipc is spoken over it")
    parser.add_argument("--lifeline-fd", type=int, metavar="N", help="a pipe that ends with the parent")
    parser.add_argument("--recorder-fd", type=int, metavar="N", help="the file of kombu_green.ipc.recorder")
    parser.add_argument("--protocol", type=int, default=PROTOCOL, metavar="N", help="which one the parent speaks")
    return Arguments(**vars(parser.parse_args(argv)))
