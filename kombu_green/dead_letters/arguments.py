"""The command line of ``kombu-worker dead``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kombu_green.config.commandline import add_settings, count, reading
from kombu_green.config.quantities import read_duration
from kombu_green.dispatch.selecting import FIELDS, Condition, condition
from kombu_green.republish import DEAD_SUFFIX, dead_queue

__all__ = ["ACTIONS", "Arguments", "parse"]

ACTIONS: Final = {
    "ls": "one line for each: its number, when it was buried, attempts, why, its id or key, its size",
    "show": "everything of each: headers, history, traceback, body",
    "retry": "publish them to the queue that they came from; their history goes with them, their attempts begin anew",
    "drop": "delete them",
}
_EPILOG: Final = """\
conditions, of which all have to hold; patterns are a shell's (*, ?, [ab]):
  {fields}

exit codes:
  0    done, also when there was none
  1    some could not be retried or dropped, there is no such queue, or the broker does not answer
  2    the command line is wrong
  78   the configuration or the broker's address is wrong
  130  interrupted (Ctrl-C, SIGTERM): the one at hand was finished, all others are where they were
"""


@dataclass(frozen=True, slots=True)
class Arguments:
    action: str
    file: Path
    overrides: list[str]
    queue: str  # that the dead letters are in
    conditions: list[Condition]
    limit: int | None
    yes: bool
    json: bool

    @property
    def origin(self) -> str:
        """The queue that it keeps the dead letters of."""
        return self.queue.removesuffix(DEAD_SUFFIX)


def parse(argv: Sequence[str]) -> Arguments:
    """What *argv* asks for; ``SystemExit`` with code 2 for what nobody understands."""
    given = _parser().parse_args(argv)
    queue = given.queue if given.queue.endswith(DEAD_SUFFIX) else dead_queue(given.queue)
    return Arguments(
        given.action, given.file, given.overrides, queue, given.conditions, given.limit, given.yes, given.json
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kombu-worker dead",
        description="Looks at the messages that a worker has given up, in QUEUE.dead, and settles them.",
        epilog=_EPILOG.format(fields="=…  ".join(FIELDS) + "=…"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = "; ".join(f"{name}: {words}" for name, words in ACTIONS.items())
    parser.add_argument("action", choices=list(ACTIONS), metavar="|".join(ACTIONS), help=actions)
    add_settings(parser)
    parser.add_argument("queue", metavar="QUEUE", help="the queue in which they failed, or that with .dead at its end")
    parser.add_argument(
        "--where",
        dest="conditions",
        action="append",
        default=[],
        type=reading(lambda text: condition(text, read_duration)),
        metavar="FIELD=PATTERN",
        help="only those that this holds for, as often as needed",
    )
    parser.add_argument("--limit", type=count, metavar="N", help="the first N of them")
    parser.add_argument("--yes", action="store_true", help="drop without asking")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser
