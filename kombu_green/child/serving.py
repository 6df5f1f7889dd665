"""The verb ``run``: from the command line to the process's exit code, with the parent told about every step."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kombu_green.child import lifeline
from kombu_green.child.arguments import Arguments
from kombu_green.child.parent import Parent
from kombu_green.child.process import Process
from kombu_green.child.work import Build
from kombu_green.clock import Deadline
from kombu_green.config.logs import configure
from kombu_green.config.problems import PERMANENT_ERRORS, ConfigError, Problem, problems_of
from kombu_green.config.reading import read
from kombu_green.config.settings import Settings
from kombu_green.exit_codes import ExitCode
from kombu_green.green.group import Group
from kombu_green.green.signals import Signals
from kombu_green.ipc.messages import PROTOCOL, CannotBoot, ChildStarted, DrainOrder, ReleaseOrder

__all__ = ["fitting", "serve"]

log = logging.getLogger("kombu_green.child")

_ORPHANS_LIVE: Final = 4.0  # seconds, from the parent's end, for a process whose hub hangs
_LAST_WORDS: Final = 1.0  # seconds for the parent to take the last note
_EXIT_WITHIN: Final = 3.0  # seconds for exit hooks and threads that still run
_UPGRADED: Final = (
    "kombu_green was upgraded since this kombu-worker was started, and the two versions do not understand each other:"
    " restart kombu-worker, as a reload renews its processes and not itself"
)


def serve(arguments: Arguments, build: Build) -> int:
    """Run what *build* makes of the settings; returns the exit code: 0, 1 (released), 70 (failed) or 78."""
    parent = Parent(arguments.control_fd)
    if arguments.lifeline_fd is not None:
        lifeline.watch(arguments.lifeline_fd, _ORPHANS_LIVE)
    if parent.present:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it, too, and says what it means
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # a group in the background may write to a terminal, still
    try:
        code = _run(arguments, build, parent)
    except PERMANENT_ERRORS as error:
        problems = problems_of(error)
        if not parent.present:
            for problem in problems:
                log.error("%s", problem)
        parent.say(fitting(problems))
        code = ExitCode.CANNOT_BOOT
    parent.flush(_LAST_WORDS)
    lifeline.exit_within(_EXIT_WITHIN, code)
    return code


def _run(arguments: Arguments, build: Build, parent: Parent) -> int:
    if arguments.protocol != PROTOCOL:
        raise ConfigError([Problem(_UPGRADED)])
    settings = read(arguments.file, arguments.overrides)
    configure(settings.logging)
    parent.say(ChildStarted(os.getpid()))
    heartbeat = min(1.0, settings.worker.heartbeat_timeout / 5)
    work = build(settings)
    if arguments.recorder_fd is not None:
        os.set_inheritable(arguments.recorder_fd, False)
    work.record(
        arguments.recorder_fd,
        block_warning=settings.worker.block_warning,
        consumer_timeout=settings.worker.consumer_timeout,
    )
    process = Process(parent, work, heartbeat=heartbeat)
    with _signals(process, settings, interrupts=not parent.present):
        code = process.run()
    if process.orphaned:
        logging.shutdown()
        lifeline.end()
    return code


@contextmanager
def _signals(process: Process, settings: Settings, *, interrupts: bool) -> Iterator[None]:
    """SIGTERM sent to this very process drains it; without a parent SIGINT does, and a second one releases."""
    signals = Signals(signal.SIGTERM, *([signal.SIGINT] if interrupts else []))

    def obey() -> None:
        seen = []
        for number in signals:
            seen.append(number)
            hurry = seen.count(signal.SIGINT) == 2
            log.info("%s: %s", number.name, "ending at once" if hurry else "draining")
            process.obey(ReleaseOrder() if hurry else DrainOrder(settings.worker.graceful_timeout))

    group = Group("signals", lambda name, error: process.obey(ReleaseOrder()))
    signals.start()
    group.start()
    group.spawn(obey, name="signals")
    try:
        yield
    finally:
        group.stop(Deadline.after(0))
        signals.stop(Deadline.after(0))


def fitting(problems: list[str]) -> CannotBoot:
    """A note that is short enough to be sent, whatever is in it."""
    shown = [problem if len(problem) <= 500 else problem[:500] + " …" for problem in problems[:40]]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    return CannotBoot(shown)
