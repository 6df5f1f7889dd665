"""The verb ``dead``: from the command line to the exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Final

from gevent.event import Event

from kombu_green.clock import Deadline
from kombu_green.config.problems import PERMANENT_ERRORS, problems_of
from kombu_green.config.reading import read
from kombu_green.config.settings import Settings
from kombu_green.dead_letters.arguments import Arguments, parse
from kombu_green.dead_letters.browsing import Browser, NoSuchQueue, browsing
from kombu_green.dead_letters.progress import shown
from kombu_green.dead_letters.settling import Settled, confirmed, drop, retry
from kombu_green.dead_letters.telling import as_json, line, page
from kombu_green.exceptions import ConnectionLost, KombuError
from kombu_green.exit_codes import ExitCode
from kombu_green.green.group import Group
from kombu_green.green.signals import Signals
from kombu_green.suggestions import did_you_mean

__all__ = ["dead"]

_IN_MEMORY: Final = 16 * 1024 * 1024  # bytes of what is shown; more waits in a file
_MANY_DELIVERIES: Final = 10
_REASONS: Final = 10  # of failures, that are told one by one


def dead(argv: Sequence[str]) -> int:
    """Run ``kombu-worker dead`` with what follows that word; returns the exit code, which ``--help`` explains."""
    arguments = parse(argv)
    if arguments.action == "drop" and not arguments.yes and not sys.stdin.isatty():
        _complain("drop asks on a terminal, and standard input is none: say --yes")
        return ExitCode.USAGE
    try:
        settings = read(arguments.file, arguments.overrides)
        with _until_interrupted() as stop:
            code = _act(settings, arguments, stop)
            return ExitCode.INTERRUPTED if stop.is_set() else code
    except NoSuchQueue:
        return _not_there(settings, arguments)
    except PERMANENT_ERRORS as error:
        for problem in problems_of(error):
            _complain(problem)
        return ExitCode.CANNOT_BOOT
    except (KombuError, TimeoutError) as error:
        _complain(f"{type(error).__name__}: {error}")
        return ExitCode.FAILED
    except BrokenPipeError:  # nobody reads any more: `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE


def _act(settings: Settings, arguments: Arguments, stop: Event) -> int:
    if arguments.action in ("ls", "show"):
        # shown once everything is back in its queue: a pager may take its time to read
        with tempfile.SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8") as text:
            with browsing(settings, arguments, stop) as browser:
                count = _tell(browser, arguments, text)
            text.seek(0)
            shutil.copyfileobj(text, sys.stdout)
            sys.stdout.flush()
        _summarize(count, arguments, browser)
        _warn_of_limit(arguments, browser)
        return ExitCode.DONE
    settled = Settled()
    try:
        with browsing(settings, arguments, stop) as browser:
            _settle(browser, arguments, settled, stop)
    except ConnectionLost:
        _report(arguments, settled)  # what was done is done
        raise
    _report(arguments, settled)
    return ExitCode.FAILED if settled.failures else ExitCode.DONE


def _tell(browser: Browser, arguments: Arguments, text: IO[str]) -> int:
    count, whole = 0, arguments.action == "show"
    for letter in browser.letters():
        count += 1
        if arguments.json:
            text.write(as_json(letter, whole=whole) + "\n")
        else:
            text.write(page(letter, arguments.queue) if whole else line(letter) + "\n")
    return count


def _settle(browser: Browser, arguments: Arguments, settled: Settled, stop: Event) -> None:
    letters = browser.letters()
    total = min(browser.ready, arguments.limit or browser.ready)
    if arguments.action == "retry":
        retry(browser, shown(letters, total, "retried"), arguments.origin, settled)
        return
    if not arguments.yes:
        found = list(letters)
        question = f"drop {len(found)} of {_letters(browser.seen)} of {arguments.queue}?"
        if not found or not confirmed(question, stop):
            return
        letters, total = iter(found), len(found)
    drop(shown(letters, total, "dropped"), settled)


def _report(arguments: Arguments, settled: Settled) -> None:
    done = "retried" if arguments.action == "retry" else "dropped"
    if arguments.json:
        told = {"queue": arguments.queue, done: settled.done, "failed": dict(settled.failures)}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.write(f"{done} {_letters(settled.done)} of {arguments.queue}\n")
    for reason, count in settled.failures.most_common(_REASONS):
        _complain(f"{count} not {done}: {reason}")


def _summarize(count: int, arguments: Arguments, browser: Browser) -> None:
    """On standard error, so that standard output has one line for each letter."""
    if not arguments.json:
        others = f"; consumers of it, which may hold more: {browser.consumers}" if browser.consumers else ""
        sys.stderr.write(f"{count} of {_letters(browser.ready)} in {arguments.queue}{others}\n")


def _warn_of_limit(arguments: Arguments, browser: Browser) -> None:
    if browser.deliveries >= _MANY_DELIVERIES:
        _complain(
            f"{arguments.queue} is a quorum queue, in which each look counts as a delivery; the highest count is"
            f" {browser.deliveries} by now, and a delivery limit (RabbitMQ 4: 20, unless a policy says otherwise) drops"
            " what is beyond it"
        )


def _letters(count: int) -> str:
    return f"{count} dead letter{'' if count == 1 else 's'}"


def _not_there(settings: Settings, arguments: Arguments) -> int:
    """A queue gets its dead one with the first letter, so one that the file knows may have none yet."""
    known = {*settings.queues, *(name for consumer in settings.consumers.values() for name in consumer.queues)}
    if arguments.origin in known:
        if not arguments.json:
            sys.stderr.write(f"nothing was dead-lettered from {arguments.origin} yet\n")
        return ExitCode.DONE
    hint = did_you_mean(arguments.origin, known)
    _complain(f"there is no queue {arguments.queue!r}, and {arguments.file} knows none that it would belong to{hint}")
    return ExitCode.FAILED


@contextmanager
def _until_interrupted() -> Iterator[Event]:
    """An event for SIGINT and SIGTERM: what is at hand is finished.  A second one ends this process where it stands,
    and the broker gives back what it had."""
    stop, signals = Event(), Signals(signal.SIGINT, signal.SIGTERM)

    def obey() -> None:
        for _ in signals:
            if stop.is_set():
                os._exit(ExitCode.INTERRUPTED)
            stop.set()

    group = Group("signals", lambda name, error: stop.set())
    signals.start()
    group.start()
    group.spawn(obey, name="signals")
    try:
        yield stop
    finally:
        group.stop(Deadline.after(0))
        signals.stop(Deadline.after(0))


def _complain(words: str) -> None:
    sys.stderr.write(f"kombu-worker: {words}\n")
