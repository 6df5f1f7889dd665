"""Peers side by side: A B C A B C …, each round in a fresh process of that peer's environment.

Interleaved, a change in what else the machine does meets all of them alike, and a ratio within one run means something
where a rate by itself does not.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.contract import Case, Peer, Workload
from benchmarks.environments import interpreter
from benchmarks.figures import Figures, Outcome, figures
from benchmarks.round import Load, Sample

__all__ = ["ROOT", "Runner"]

ROOT = Path(__file__).parents[1]
GRACE = 30.0  # seconds for a round's start and end, beyond those of its load

Say = Callable[[str], None]


@dataclass(frozen=True)
class Runner:
    """*cache* keeps the peers' environments and, while they run, the rounds' folders."""

    peers: Mapping[str, Peer]
    cache: Path = ROOT / ".bench"
    say: Say = lambda line: None

    def run(self, workload: Workload, rounds: int) -> Iterator[list[Figures]]:
        """The figures of each case, one after the other, with the workload's server up meanwhile."""
        with self._folder() as folder, workload.server(folder) as url:
            for case in workload.cases:
                outcomes: dict[str, list[Outcome]] = {name: [] for name in case.peers}
                for number in range(1, rounds + 1):
                    for name in case.peers:
                        outcome = self._round(self.peers[name], workload, case, url)
                        outcomes[name].append(outcome)
                        self.say(_progress(workload, case, name, f"{number}/{rounds}", outcome))
                yield figures(workload.name, case.name, outcomes)

    def profile(self, workload: Workload, peer: str, into: Path) -> Iterator[tuple[Case, Outcome, list[Path]]]:
        """One round of each of the peer's cases under cProfile; the files are the round's own and its workers'."""
        with self._folder() as folder, workload.server(folder) as url:
            for case in workload.cases:
                if peer in case.peers:
                    place = into / f"{workload.name}-{case.name}"
                    place.mkdir()
                    outcome = self._round(self.peers[peer], workload, case, url, place)
                    yield case, outcome, sorted(place.glob("*.prof"))

    def _round(self, peer: Peer, workload: Workload, case: Case, url: str, profile: Path | None = None) -> Outcome:
        python = interpreter(peer, self.cache, self.say)
        with self._folder() as folder:
            load = Load(workload.name, case.name, case.messages, case.warm_up, case.seconds, url, str(folder))
            if profile is not None:
                load = replace(load, profile=str(profile))
            return _ended(_command(python, peer, load), case.seconds + GRACE)

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        self.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.cache, prefix="round-") as folder:
            yield Path(folder)


def _command(python: Path, peer: Peer, load: Load) -> list[str]:
    command = [str(python), "-m", "benchmarks.child", peer.module, json.dumps(asdict(load))]
    command += ["--versions", ",".join(peer.distributions)]
    if peer.patched:
        command.append("--patched")
    if load.profile:
        command += ["--profile", str(Path(load.profile) / "round.prof")]
    return command


def _ended(command: Sequence[str], seconds: float) -> Outcome:
    """How the child ended; whatever it started ends with it."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        ) as child:
            try:
                output, _ = child.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                return Outcome(None, f"not done after {seconds:.0f} s")
            finally:
                _end_group(child.pid)
        errors.seek(0)
        return _outcome(child.returncode, output, errors.read())


def _outcome(code: int, output: str, errors: str) -> Outcome:
    if code:
        last_words = errors.strip().splitlines() or [f"exit code {code}, without a word"]
        return Outcome(None, last_words[-1])
    answer = json.loads(output.splitlines()[-1])
    versions = answer.pop("versions")
    sample = Sample(**answer)
    if not sample.messages:
        return Outcome(None, "no message was handled in the time given", versions)
    return Outcome(sample, versions=versions)


def _end_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _progress(workload: Workload, case: Case, peer: str, number: str, outcome: Outcome) -> str:
    what = f"{workload.name} {case.name} {number} {peer}".replace("  ", " ")
    if outcome.sample is None:
        return f"{what}: failed: {outcome.failure}"
    return f"{what}: {outcome.sample.messages / outcome.sample.wall:,.0f}/s"
