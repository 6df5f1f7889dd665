"""``bin/bench [WORKLOAD …] [--rounds N] [--json]``: the workloads, with the peers beside us in the same run.

Exit codes: 0 measured · 1 one of our own figures could not be · 2 usage · 130 interrupted.
A peer's failure is a line in the table.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import profiles, report
from benchmarks.contract import Workload
from benchmarks.environments import EnvironmentFailed
from benchmarks.figures import OURS
from benchmarks.machine import described
from benchmarks.peers import PEERS
from benchmarks.runner import ROOT, Runner
from benchmarks.workloads import WORKLOADS
from kombu_green.suggestions import did_you_mean


def main(arguments: Sequence[str] | None = None) -> int:
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        workloads = chosen(options.workload, options.case, options.peer)
    except ValueError as error:
        parser.error(str(error))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that rounds are ended and their folders removed
    try:
        if options.profile:
            return profile(workloads, options.profile)
        return measure(workloads, options.rounds, options.json)
    except EnvironmentFailed as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bin/bench", description="Measure kombu_green beside its peers.")
    parser.add_argument("workload", nargs="*", help=f"of {', '.join(WORKLOADS)}; all when none is named")
    parser.add_argument("--rounds", type=positive, default=5, metavar="N", help="of each peer, interleaved (5)")
    parser.add_argument("--json", action="store_true", help="lines of JSON on standard output, the table beside them")
    parser.add_argument("--case", action="append", default=[], help="only this case of a workload; may be repeated")
    parser.add_argument("--peer", action="append", default=[], choices=PEERS, help="only this one; may be repeated")
    parser.add_argument("--profile", choices=PEERS, metavar="PEER", help="one round of PEER under cProfile instead")
    return parser


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def chosen(names: Sequence[str], cases: Sequence[str], peers: Sequence[str]) -> list[Workload]:
    """The workloads with what is asked for left in them; ``ValueError`` says what there is."""
    for name in names:
        if name not in WORKLOADS:
            raise ValueError(f"there is no workload {name!r}{did_you_mean(name, WORKLOADS)}")
    known = {case.name for workload in WORKLOADS.values() for case in workload.cases if case.name}
    for name in cases:
        if name not in known:
            raise ValueError(f"there is no case {name!r} (there are: {', '.join(sorted(known))})")
    found = []
    for workload in WORKLOADS.values():
        if not names or workload.name in names:
            kept = [case for case in workload.cases if not cases or case.name in cases]
            left = [replace(case, peers=tuple(p for p in case.peers if not peers or p in peers)) for case in kept]
            found.append(replace(workload, cases=tuple(case for case in left if case.peers)))
    return found


def measure(workloads: Sequence[Workload], rounds: int, as_json: bool) -> int:
    machine = described()
    people = sys.stderr if as_json else sys.stdout
    failed = False
    versions: dict[str, None] = {}
    runner = Runner(PEERS, say=say)
    for workload in workloads:
        for case, figures in zip(workload.cases, runner.run(workload, rounds), strict=True):
            people.write(f"\n{report.table(workload, case, figures)}\n")
            people.flush()
            versions |= dict.fromkeys(report.versions(figures))
            failed |= any(line.failure for line in figures if line.peer == OURS)
            if as_json:
                sys.stdout.writelines(f"{report.as_json(line, machine)}\n" for line in figures)
    people.write("".join(f"{line}\n" for line in ["", machine, *versions]))
    return 1 if failed else 0


def profile(workloads: Sequence[Workload], peer: str) -> int:
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for workload in workloads:
            for case, outcome, files in Runner(PEERS, say=say).profile(workload, peer, Path(folder)):
                sys.stdout.write(f"\n{workload.name} {case.name}: {case.what}\n")
                failed |= outcome.sample is None
                if outcome.sample is None:
                    sys.stdout.write(f"failed: {outcome.failure}\n")
                sys.stdout.writelines(f"{profiles.shown(file, ROOT)}\n" for file in files)
    return 1 if failed else 0


def say(line: str) -> None:
    sys.stderr.write(f"bin/bench: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
