"""``kombu-worker`` without a verb: runs the worker processes that an ini file describes, or checks the file."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kombu_green.config.command_line import CommandLineParser, add_settings_options, positive_integer
from kombu_green.config.loader import read_settings
from kombu_green.config.logs import configure
from kombu_green.config.problems import ConfigError
from kombu_green.config.settings import Settings
from kombu_green.exit_codes import ExitCode
from kombu_green.ipc.overrides import write_overrides
from kombu_green.launcher.child_process import child_command, child_environment, inherited_fds
from kombu_green.launcher.launcher import Launcher
from kombu_green.launcher.plan import Plan
from kombu_green.launcher.state_folder import prepared
from kombu_green.plugins import load
from kombu_green.url import mask_url

__all__ = ["RunArguments", "parse_arguments", "run", "start_line"]

log = logging.getLogger("kombu_green.launcher")

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
class RunArguments:
    """A parsed command line."""

    file: Path
    check: bool
    overrides: list[str]  # section.key=value
    stop_with_parent: bool = False


def parse_arguments(argv: Sequence[str] | None) -> RunArguments:
    """Parse *argv*; ``SystemExit`` with code 2 if it is wrong, with 0 after ``--help`` and ``--version``."""
    given = _parser().parse_args(argv)
    overrides: list[str] = list(given.overrides)
    if given.processes is not None:
        overrides.append(f"worker.processes={given.processes}")
    if given.concurrency is not None:
        overrides.append(f"worker.concurrency={given.concurrency}")
    return RunArguments(given.file, given.check, overrides, given.stop_with_parent)


def run(argv: Sequence[str]) -> int:
    """Run ``kombu-worker`` with *argv*; returns the exit code, which ``--help`` explains."""
    parent = os.getppid()
    arguments = parse_arguments(argv)
    overrides_fd = write_overrides(arguments.overrides) if arguments.overrides else None

    def plan(settings: Settings | None = None) -> Plan:
        settings = settings or read_settings(arguments.file, arguments.overrides)
        return Plan.from_settings(settings, child_command("run", arguments.file, overrides_fd))

    try:
        settings = read_settings(arguments.file, arguments.overrides)
        first = plan(settings)
        state = None if arguments.check else prepared(settings)
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"kombu-worker: {problem}\n")
        return ExitCode.CANNOT_BOOT
    if arguments.check:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # else the check, and what it starts, could not be ended
        return _check(arguments.file, overrides_fd)
    configure(settings.logging)
    log.info("%s", start_line(settings), extra={"event": "starting"})
    guardian = parent if arguments.stop_with_parent else None
    return Launcher(first, reread=plan, state=state, file=arguments.file, guardian=guardian).run()


def start_line(settings: Settings) -> str:
    """What is about to run, in one sentence: version, file, broker, processes, slots and queues."""
    consumers, worker = settings.consumers.values(), settings.worker
    slots = sum((one.concurrency or worker.concurrency) * len(one.queues) for one in consumers)
    queues = ", ".join(queue for one in consumers for queue in one.queues)
    slot_text = f"{slots} slots" if slots else ""
    rest = [f"queues {queues}" if queues else "", f"app {worker.app}" if worker.app else ""]
    processes = f"{worker.processes} process{'' if worker.processes == 1 else 'es'}"
    version = load("kombu_green:__version__")
    text = " × ".join(filter(None, [processes, slot_text]))
    return f"kombu-worker {version} runs {settings.file}: broker {mask_url(settings.broker.url)}, " + ", ".join(
        filter(None, [text, *rest])
    )


def _check(file: Path, overrides_fd: int | None) -> int:
    """Let a child import the callbacks, connect, and print everything; the file itself has no problems."""
    command = child_command("check", file, overrides_fd)
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        pass_fds=inherited_fds(command),
        env=child_environment(),
        process_group=0,  # it does not get a Ctrl-C: subprocess kills it, and it prints no traceback
        check=False,
    )
    return done.returncode


def _parser() -> argparse.ArgumentParser:
    parser = CommandLineParser(
        prog="kombu-worker",
        usage="kombu-worker -c FILE [options], kombu-worker status -c FILE, or kombu-worker dead ls -c FILE QUEUE",
        description="Runs the worker processes that an ini file describes, until it is told to stop."
        "  What status and dead do is told by kombu-worker status --help and kombu-worker dead --help.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_settings_options(
        parser, "a value on top of the file's, as often as needed; relative paths start from this folder"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="start nothing: print every setting with where it came from, and what the transport can do",
    )
    parser.add_argument("--processes", type=positive_integer, metavar="N", help="the same as --set worker.processes=N")
    parser.add_argument(
        "--concurrency",
        type=positive_integer,
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
