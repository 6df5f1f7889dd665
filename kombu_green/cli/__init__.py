"""``kombu-worker``: chooses the module of this package that runs the verb.

None of them imports gevent, a driver or an application.  What needs those runs in another process: a child
(``python -m kombu_green.child``) or ``python -m kombu_green.dead_letters``.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Final

from kombu_green.exit_codes import ExitCode
from kombu_green.plugins import load

__all__ = ["main"]

#: the function that runs each verb; only the one in use is imported, so that ``status`` starts fast
_VERBS: Final = {"dead": "kombu_green.cli.dead:dead", "status": "kombu_green.cli.status:status"}
_NO_VERB: Final = "kombu_green.cli.run:run"
#: what the launcher handles, but for SIGINT, which ends the command before the launcher runs; held while it is imported
_HELD: Final = (
    *(signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1),
    *(signal.SIGTTIN, signal.SIGTTOU),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (by default that of this process); returns the exit code, see ``--help``.

    Without a verb, the launcher's signals are blocked from the first statement on, and the launcher takes those that
    came meanwhile.  For the command itself (*argv* is None) they stay blocked at the end, so that none changes the exit
    code.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        return _run(argv, before)
    finally:
        if argv is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(argv: Sequence[str] | None, signals_before: set[int]) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = _VERBS.get(arguments[0]) if arguments else None
    if verb is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals_before)
    if verb is None and arguments and arguments[0][:1] not in ("", "-"):
        given = arguments[0]
        is_file = given.endswith((".ini", ".cfg", ".conf")) or "/" in given
        suggest = load("kombu_green.suggestions:did_you_mean")
        hint = f"; a file is given with -c: kombu-worker -c {given}" if is_file else suggest(given, _VERBS)
        sys.stderr.write(f"kombu-worker: there is no verb {arguments[0]!r}{hint}\n")
        return ExitCode.USAGE
    try:
        code: int = load(_NO_VERB)(arguments) if verb is None else load(verb)(arguments[1:])
    except SystemExit as end:  # raised by argparse, also for --help and --version
        return end.code if isinstance(end.code, int) else ExitCode.USAGE
    except KeyboardInterrupt:  # before the launcher handles SIGINT, or during --check
        return ExitCode.INTERRUPTED
    return code
