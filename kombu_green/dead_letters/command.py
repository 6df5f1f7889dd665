"""``kombu-worker dead``: its command line, what each action prints, and the exit code."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from gevent.event import Event

from kombu_green.clock import Deadline
from kombu_green.config.boot_errors import located
from kombu_green.config.command_line import CommandLineParser, add_settings_options, argument_type, positive_integer
from kombu_green.config.kinds import read_duration
from kombu_green.config.loader import read_settings
from kombu_green.config.problems import PERMANENT_ERRORS, problems_of
from kombu_green.config.settings import Settings
from kombu_green.dead_letters.actions import ActionCounts, confirm, drop, retry
from kombu_green.dead_letters.browser import DeadLetterBrowser, NoSuchQueue, Selection, open_browser
from kombu_green.dead_letters.conditions import AGES, FIELDS, condition
from kombu_green.dead_letters.format import format_json, format_line, format_page
from kombu_green.dead_letters.progress import with_progress
from kombu_green.exceptions import ConnectionLost, KombuError
from kombu_green.exit_codes import ExitCode
from kombu_green.green.group import Group
from kombu_green.green.signals import SignalQueue
from kombu_green.printable import printable
from kombu_green.republish import DEAD_SUFFIX, dead_queue
from kombu_green.suggestions import did_you_mean

__all__ = ["ACTIONS", "DeadArguments", "dead", "parse_arguments"]

ACTIONS: Final = {
    "ls": "one line for each: its number, its time, attempts, why, its id or key, its size",
    "show": "everything of each: headers, history, traceback, body",
    "retry": "publish them to the queue that they came from; their history goes with them, their attempts begin anew",
    "drop": "delete them",
}
_EPILOG: Final = f"""\
conditions (--where), of which all have to hold; patterns are a shell's (*, ?, [ab]):
  {"=…  ".join(field for field in FIELDS if field not in AGES)}=…
  older=2h       dead-lettered more than 2 hours ago; a number with ms, s, m, h or d
  newer=10m      dead-lettered in the last 10 minutes

exit codes:
  0    done, also when there was none
  1    some could not be retried or dropped, there is no such queue, or the broker does not answer
  2    the command line is wrong
  78   the configuration or the broker's address is wrong
  130  interrupted (Ctrl-C, SIGTERM): the one at hand was finished, all others are where they were
"""
_BUFFERED_IN_MEMORY: Final = 16 * 1024 * 1024  # bytes of output; more is buffered in a file
_MANY_DELIVERIES: Final = 10  # half of the delivery limit that RabbitMQ 4 gives a quorum queue
_MOST_REASONS: Final = 10  # of failures that are printed


@dataclass(frozen=True, slots=True)
class DeadArguments:
    """A parsed command line."""

    action: str
    file: Path
    overrides: list[str]  # section.key=value
    selection: Selection  # of the queue with the dead letters
    yes: bool
    json: bool

    @property
    def queue(self) -> str:
        """The queue with the dead letters."""
        return self.selection.queue

    @property
    def source_queue(self) -> str:
        """The queue whose dead letters these are."""
        return self.queue.removesuffix(DEAD_SUFFIX)


def parse_arguments(argv: Sequence[str]) -> DeadArguments:
    """Parse *argv*; ``SystemExit`` with code 2 if it is wrong, with 0 after ``--help``."""
    action = argv[0] if argv and argv[0] in ACTIONS else None
    given = _parser().parse_args(argv) if action is None else _action_parser(action).parse_args(argv[1:])
    queue = given.queue if given.queue.endswith(DEAD_SUFFIX) else dead_queue(given.queue)
    selection = Selection(queue, given.conditions, given.limit)
    yes = getattr(given, "yes", False)
    return DeadArguments(action or given.action, given.file, given.overrides, selection, yes, given.json)


def _parser() -> argparse.ArgumentParser:
    """For a command line that begins with an option, and for ``kombu-worker dead --help``."""
    parser = CommandLineParser(
        prog="kombu-worker dead",
        usage="kombu-worker dead " + "|".join(ACTIONS) + " -c FILE QUEUE [options]",
        description="Looks at the messages that a worker has given up, in QUEUE.dead, and settles them."
        "  What one of the verbs takes is told by kombu-worker dead VERB --help.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = "; ".join(f"{name}: {text}" for name, text in ACTIONS.items())
    parser.add_argument("action", choices=list(ACTIONS), metavar="|".join(ACTIONS), help=actions)
    _add_options(parser, drops=True)
    return parser


def _action_parser(action: str) -> argparse.ArgumentParser:
    parser = CommandLineParser(
        prog=f"kombu-worker dead {action}",
        description=f"Dead letters of QUEUE: {ACTIONS[action]}.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_options(parser, drops=action == "drop")
    return parser


def _add_options(parser: argparse.ArgumentParser, *, drops: bool) -> None:
    add_settings_options(parser)
    parser.add_argument("queue", metavar="QUEUE", help="the queue in which they failed, or that with .dead at its end")
    parser.add_argument(
        "--where",
        dest="conditions",
        action="append",
        default=[],
        type=argument_type(lambda text: condition(text, read_duration)),
        metavar="FIELD=PATTERN",
        help="only those that this holds for, as often as needed",
    )
    parser.add_argument("--limit", type=positive_integer, metavar="N", help="the first N of them")
    if drops:
        parser.add_argument("--yes", action="store_true", help="drop without asking")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def dead(argv: Sequence[str]) -> int:
    """Run ``kombu-worker dead`` with its arguments *argv*; returns the exit code, which ``--help`` explains."""
    arguments = parse_arguments(argv)
    if arguments.action == "drop" and not arguments.yes and not sys.stdin.isatty():
        _print_error("drop asks on a terminal, and standard input is none: say --yes")
        return ExitCode.USAGE
    try:
        settings = read_settings(arguments.file, arguments.overrides)
        with _stop_on_signals() as stop, located(settings):
            code = _run(settings, arguments, stop)
            return ExitCode.INTERRUPTED if stop.is_set() else code
    except NoSuchQueue:
        return _no_dead_queue(settings, arguments)
    except PERMANENT_ERRORS as error:
        for problem in problems_of(error):
            _print_error(problem)
        return ExitCode.CANNOT_BOOT
    except (KombuError, TimeoutError) as error:
        _print_error(f"{type(error).__name__}: {error}")
        return ExitCode.FAILED
    except BrokenPipeError:  # the reader of the output has ended, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE


def _run(settings: Settings, arguments: DeadArguments, stop: Event) -> int:
    if arguments.action in ("ls", "show"):
        _print_letters(settings, arguments, stop)
        return ExitCode.DONE
    counts = ActionCounts()
    try:
        with open_browser(settings, arguments.selection, stop) as browser:
            _settle_letters(browser, arguments, counts, stop)
    except ConnectionLost:
        _print_counts(arguments, counts)  # what was settled before stays settled
        raise
    _print_counts(arguments, counts)
    return ExitCode.FAILED if counts.failures else ExitCode.DONE


# -- ls and show


def _print_letters(settings: Settings, arguments: DeadArguments, stop: Event) -> None:
    # printed after all messages are back in their queue: a pager as the reader may take its time
    with tempfile.SpooledTemporaryFile(_BUFFERED_IN_MEMORY, "w+", encoding="utf-8") as buffer:
        with open_browser(settings, arguments.selection, stop) as browser:
            count = _write_letters(browser, arguments, buffer)
        buffer.seek(0)
        shutil.copyfileobj(buffer, sys.stdout)
        sys.stdout.flush()
    if not arguments.json:  # on standard error: standard output has one line for each dead letter
        others = f"; consumers of it, which may hold more: {browser.consumers}" if browser.consumers else ""
        sys.stderr.write(f"{count} of {_dead_letters(browser.ready)} in {arguments.queue}{others}\n")
    if browser.most_deliveries >= _MANY_DELIVERIES:
        _print_error(
            f"{arguments.queue} is a quorum queue, in which each look counts as a delivery; the highest count is"
            f" {browser.most_deliveries} by now, and a delivery limit (RabbitMQ 4: 20, unless a policy says otherwise)"
            " drops what is beyond it"
        )


def _write_letters(browser: DeadLetterBrowser, arguments: DeadArguments, output: IO[str]) -> int:
    """Write the selected dead letters to *output*; returns how many there were."""
    count, whole = 0, arguments.action == "show"
    for letter in browser.dead_letters():
        count += 1
        if arguments.json:
            output.write(format_json(letter, whole=whole) + "\n")
        else:
            output.write(format_page(letter, arguments.queue) if whole else format_line(letter) + "\n")
    return count


# -- retry and drop


def _settle_letters(browser: DeadLetterBrowser, arguments: DeadArguments, counts: ActionCounts, stop: Event) -> None:
    letters = browser.dead_letters()
    total = min(browser.ready, arguments.selection.limit or browser.ready)
    if arguments.action == "retry":
        retry(browser, with_progress(letters, total, "retried"), arguments.source_queue, counts)
        return
    if not arguments.yes:
        found = list(letters)
        question = f"drop {len(found)} of {_dead_letters(browser.seen)} of {arguments.queue}?"
        if not found or not confirm(question, stop):
            return
        letters, total = iter(found), len(found)
    drop(with_progress(letters, total, "dropped"), counts)


def _print_counts(arguments: DeadArguments, counts: ActionCounts) -> None:
    done = "retried" if arguments.action == "retry" else "dropped"
    if arguments.json:
        result = {"queue": arguments.queue, done: counts.done, "failed": dict(counts.failures)}
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        sys.stdout.write(f"{done} {_dead_letters(counts.done)} of {arguments.queue}\n")
    for reason, count in counts.failures.most_common(_MOST_REASONS):
        _print_error(f"{count} not {done}: {reason}")


def _dead_letters(count: int) -> str:
    return f"{count} dead letter{'' if count == 1 else 's'}"


# -- errors and signals


def _no_dead_queue(settings: Settings, arguments: DeadArguments) -> int:
    """Print why there is no dead queue.  It is declared with the first dead letter, so a known queue may have none."""
    known = {*settings.queues, *(name for consumer in settings.consumers.values() for name in consumer.queues)}
    if arguments.source_queue in known:
        if not arguments.json:
            sys.stderr.write(f"nothing was dead-lettered from {arguments.source_queue} yet\n")
        return ExitCode.DONE
    hint = did_you_mean(arguments.source_queue, known)
    _print_error(
        f"there is no queue {arguments.queue!r}, and {arguments.file} knows none that it would belong to{hint}"
    )
    return ExitCode.FAILED


@contextmanager
def _stop_on_signals() -> Iterator[Event]:
    """An event that the first SIGINT or SIGTERM sets; the dead letter at hand is settled still.

    A second signal ends this process at once, and the broker gives back what it held.
    """
    stop, signals = Event(), SignalQueue(signal.SIGINT, signal.SIGTERM)

    def receive_signals() -> None:
        for _ in signals:
            if stop.is_set():
                os._exit(ExitCode.INTERRUPTED)
            stop.set()

    group = Group("signals", lambda name, error: stop.set())
    signals.start()
    group.start()
    group.spawn(receive_signals, name="signals")
    try:
        yield stop
    finally:
        group.stop(Deadline.after(0))
        signals.stop(Deadline.after(0))


def _print_error(text: str) -> None:
    sys.stderr.write(f"kombu-worker: {printable(text)}\n")
