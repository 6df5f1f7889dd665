"""For every test: where CI is set, what is skipped has failed, and generated examples are the same in each run."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from kombu_green.config.logs import HAS_STACKS, TextFormatter
from tests.support.order import spread
from tests.support.rabbitmq import rabbitmq

__all__ = ["rabbitmq"]

IN_CI = bool(os.environ.get("CI"))

#: With more of them, what each has to collect and to start costs more than it saves.
MOST_PROCESSES = 8

# A slow machine is no reason to fail. Laptops look for new examples; CI repeats its own, so that a failure there has a
# cause in the commit.
settings.register_profile(
    "kombu_green", deadline=None, derandomize=IN_CI, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("kombu_green")

# What launchers keep over restarts lies in a folder of this run, and goes with it.
_STATE = tempfile.mkdtemp(prefix="kombu-worker-state-")
os.environ["KOMBU_WORKER_STATE"] = _STATE
atexit.register(shutil.rmtree, _STATE, ignore_errors=True)

# A script that starts the suite in its background lets it ignore SIGINT, and with it every process that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class ControlCharacters(logging.Handler):
    """Collects the records that have control characters as ``[logging] format = text`` writes them.

    The line ends of tracebacks and stacks are none; they are followed by an indentation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(TextFormatter())
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if record.exc_info or record.stack_info or getattr(record, HAS_STACKS, False):
            text = text.replace("\n  ", "")
        if not text.isprintable():
            self.records.append(f"{record.pathname}:{record.lineno}: {text!r}")


@pytest.fixture(autouse=True)
def no_control_characters_in_the_log() -> Generator[None]:
    """A text of a message must not become a line of the log that looks like a record."""
    handler, logger = ControlCharacters(), logging.getLogger("kombu_green")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    assert not handler.records


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kill-runs", type=int, default=1, metavar="N", help="how often workers are killed fifty times")
    parser.addoption("--long", action="store_true", help="run on each broker what is run on one of them otherwise")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """What ``-n auto`` means: two processes for each core, as most tests wait for a server or for another process."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # pytest-xdist reads it
    return min(2 * (os.cpu_count() or 1), MOST_PROCESSES)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without ``--long``, a test marked ``long_on("rabbitmq")`` is run on the other brokers alone."""
    if not config.getoption("--long"):
        left_out = [item for item in items if _is_left_out(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    worker = getattr(config, "workerinput", None)  # of pytest-xdist, in each of its processes
    if worker is not None:
        items[:] = spread(items, worker["workercount"])


def _is_left_out(item: pytest.Item) -> bool:
    parameters = getattr(item, "callspec", None)
    broker = None if parameters is None else parameters.params.get("fleet")
    return any(broker in mark.args for mark in item.iter_markers("long_on"))


def fail_what_is_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """A missing server is a reason to skip on a laptop; in CI it would hide a test for ever."""
    if IN_CI and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as failed in CI: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fail_what_is_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_what_is_skipped(report)
    return report
