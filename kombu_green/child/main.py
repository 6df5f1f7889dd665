"""``python -m kombu_green.child``: its command line, and the verb ``run``.

The launcher writes the command line.  By hand, without the descriptors, it runs one process in the foreground.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kombu_green.child.check import check
from kombu_green.child.launcher_link import LauncherLink
from kombu_green.child.orphan import exit_after, exit_when_orphaned, kill_process_group
from kombu_green.child.process import SupervisedWorker, WorkerProcess
from kombu_green.clock import Deadline
from kombu_green.config.boot_errors import located
from kombu_green.config.command_line import CommandLineParser, add_settings_options
from kombu_green.config.loader import read_settings
from kombu_green.config.logs import configure
from kombu_green.config.problems import PERMANENT_ERRORS, ConfigError, Problem, problems_of
from kombu_green.config.settings import Settings
from kombu_green.exit_codes import ExitCode
from kombu_green.green.group import Group
from kombu_green.green.signals import SignalQueue
from kombu_green.ipc.messages import PROTOCOL, CannotBoot, ChildStarted, DrainOrder, ReleaseOrder
from kombu_green.ipc.overrides import read_overrides

__all__ = ["ChildArguments", "cannot_boot_note", "main", "parse_arguments"]

log = logging.getLogger("kombu_green.child")

Build = Callable[[Settings], SupervisedWorker]

_ORPHAN_GRACE: Final = 4.0  # seconds that a hanging process lives after its launcher has ended
_FLUSH_WITHIN: Final = 1.0  # seconds to send the last notes to the launcher
_EXIT_WITHIN: Final = 3.0  # seconds for exit hooks and native threads
_MOST_PROBLEMS: Final = 40  # in one note
_LONGEST_PROBLEM: Final = 500  # characters
_UPGRADED: Final = (
    "kombu_green was upgraded since this kombu-worker was started, and the two versions do not understand each other:"
    " restart kombu-worker, as a reload renews its processes and not itself"
)


@dataclass(frozen=True, slots=True)
class ChildArguments:
    """A parsed command line; each descriptor is None in a process that was started by hand."""

    verb: str  # run or check
    file: Path
    overrides: list[str]  # section.key=value
    control_fd: int | None
    lifeline_fd: int | None
    recorder_fd: int | None
    protocol: int


def parse_arguments(argv: Sequence[str]) -> ChildArguments:
    """Parse *argv*, and read the overrides; ``SystemExit`` with code 2 if it is wrong."""
    parser = CommandLineParser(prog="python -m kombu_green.child", allow_abbrev=False)
    parser.add_argument("verb", choices=["run", "check"])
    add_settings_options(parser)
    parser.add_argument("--control-fd", type=int, metavar="N", help="a socket: kombu_green.ipc is spoken over it")
    parser.add_argument("--lifeline-fd", type=int, metavar="N", help="a pipe that ends with the launcher")
    parser.add_argument("--recorder-fd", type=int, metavar="N", help="the file of kombu_green.ipc.recorder")
    parser.add_argument("--overrides-fd", type=int, metavar="N", help="the file of kombu_green.ipc.overrides")
    parser.add_argument("--protocol", type=int, default=PROTOCOL, metavar="N", help="the launcher's version of it")
    given = vars(parser.parse_args(argv))
    overrides_fd = given.pop("overrides_fd")
    if overrides_fd is not None:
        given["overrides"] += read_overrides(overrides_fd)
    return ChildArguments(**given)


def main(argv: Sequence[str], build: Build) -> int:
    """Run the verb in *argv*; returns the exit code.

    *build* makes the worker of the settings and does not start it; it raises one of
    :data:`~kombu_green.config.problems.PERMANENT_ERRORS` if that is impossible.
    """
    arguments = parse_arguments(argv)
    if arguments.verb == "check":
        return check(arguments.file, arguments.overrides, build)
    return _run(arguments, build)


def _run(arguments: ChildArguments, build: Build) -> int:
    """Run the worker until it has stopped; returns 0 (drained), 1 (released), 70 (failed) or 78 (cannot boot)."""
    link = LauncherLink(arguments.control_fd)
    if arguments.lifeline_fd is not None:
        exit_when_orphaned(arguments.lifeline_fd, _ORPHAN_GRACE)
    if link.has_launcher:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the launcher's, which sends an order
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # lets a background process group write to its terminal
    try:
        code = _run_worker(arguments, build, link)
    except PERMANENT_ERRORS as error:
        problems = problems_of(error)
        if not link.has_launcher:
            for problem in problems:
                log.error("%s", problem)
        link.send(cannot_boot_note(problems))
        code = ExitCode.CANNOT_BOOT
    link.flush(_FLUSH_WITHIN)
    exit_after(_EXIT_WITHIN, code)
    return code


def _run_worker(arguments: ChildArguments, build: Build, link: LauncherLink) -> int:
    if arguments.protocol != PROTOCOL:
        raise ConfigError([Problem(_UPGRADED)])
    settings = read_settings(arguments.file, arguments.overrides)
    configure(settings.logging)
    link.send(ChildStarted(os.getpid()))
    with located(settings):
        process = _worker_process(arguments, build(settings), settings, link)
        with _stop_on_signals(process, settings.worker.graceful_timeout, interrupts=not link.has_launcher):
            code = process.run()
    if process.orphaned:
        logging.shutdown()
        kill_process_group()
    return code


def _worker_process(
    arguments: ChildArguments, worker: SupervisedWorker, settings: Settings, link: LauncherLink
) -> WorkerProcess:
    if arguments.recorder_fd is not None:
        os.set_inheritable(arguments.recorder_fd, False)
    worker.record(
        arguments.recorder_fd,
        block_warning=settings.worker.block_warning,
        consumer_timeout=settings.worker.consumer_timeout,
    )
    return WorkerProcess(link, worker, heartbeat=min(1.0, settings.worker.heartbeat_timeout / 5))


@contextmanager
def _stop_on_signals(process: WorkerProcess, graceful_timeout: float, *, interrupts: bool) -> Iterator[None]:
    """SIGTERM sent to this process drains it.  With *interrupts* SIGINT does, too, and a second SIGINT releases."""
    signals = SignalQueue(signal.SIGTERM, *([signal.SIGINT] if interrupts else []))

    def receive_signals() -> None:
        seen = []
        for number in signals:
            seen.append(number)
            at_once = seen.count(signal.SIGINT) == 2
            log.info("%s: %s", number.name, "ending at once" if at_once else "draining")
            process.receive(ReleaseOrder() if at_once else DrainOrder(graceful_timeout))

    group = Group("signals", lambda name, error: process.receive(ReleaseOrder()))
    signals.start()
    group.start()
    group.spawn(receive_signals, name="signals")
    try:
        yield
    finally:
        group.stop(Deadline.after(0))
        signals.stop(Deadline.after(0))


def cannot_boot_note(problems: list[str]) -> CannotBoot:
    """A note with *problems*, cut so that it is not longer than one note may be."""
    shown = [
        text if len(text) <= _LONGEST_PROBLEM else text[:_LONGEST_PROBLEM] + " …" for text in problems[:_MOST_PROBLEMS]
    ]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    return CannotBoot(shown)
