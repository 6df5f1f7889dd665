"""A RabbitMQ of the tests' own: on free ports of the loopback, with its data in a folder of its own.

Debian's program in the PATH changes to the user ``rabbitmq``; those below ``/usr/lib/rabbitmq/bin`` run as the caller.
The Erlang port mapper is started here too, on a port of its own, so that nothing is left behind and nobody else's is
used.  Both are ended by their process id.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from kombu_green.clock import Deadline

__all__ = ["RabbitMQ", "free_port", "missing", "rabbitmq"]

BIN: Final = Path("/usr/lib/rabbitmq/bin")

#: seconds that a start may take on a slow and busy machine
PATIENCE: Final = 90.0

_ADVANCED: Final = "[{rabbit, [{collect_statistics, none}]}].\n"

_CONFIGURATION: Final = """\
listeners.tcp.default = 127.0.0.1:{port}
log.console = false
log.file.level = info
loopback_users = none
disk_free_limit.absolute = 1MB
vm_memory_high_watermark.absolute = 1GB
"""


def missing() -> str | None:
    """Why there can be no server here, or None."""
    if not (BIN / "rabbitmq-server").exists():
        return "rabbitmq-server is not installed"
    if shutil.which("epmd") is None:
        return "Erlang's epmd is not installed"
    return None


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RabbitMQ:
    """One server.  ``start`` returns when it takes connections; data and port outlive ``kill`` and ``stop``."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self.port: Final = free_port()
        self.mapper_port: Final = free_port()
        self._distribution_port: Final = free_port()
        self._mapper: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._write_configuration()

    @property
    def url(self) -> str:
        return self.url_of("amqp")

    def url_of(self, scheme: str, user: str = "guest", password: str = "guest", virtual_host: str = "%2F") -> str:
        return f"{scheme}://{user}:{password}@127.0.0.1:{self.port}/{virtual_host}"

    def start(self) -> None:
        """Start it, as often as it was ended."""
        self._start_mapper()
        with (self.folder / "console.log").open("ab") as console:
            self._server = subprocess.Popen(
                [str(BIN / "rabbitmq-server")],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        self._wait_for_listener()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order, and the port mapper with it."""
        self._end(signal.SIGTERM)
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper.wait()
            self._mapper = None

    def control(self, *arguments: str) -> str:
        """What ``rabbitmqctl`` says."""
        done = subprocess.run(
            [str(BIN / "rabbitmqctl"), "--quiet", *arguments],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {done.stderr.decode()}{done.stdout.decode()}")
        return done.stdout.decode()

    def evaluate(self, erlang: str) -> str:
        """What the server itself makes of an Erlang expression."""
        return self.control("eval", erlang)

    def unacknowledged(self, queue: str) -> int:
        """Messages of *queue* that were delivered and not settled."""
        for line in self.control("list_queues", "name", "messages_unacknowledged").splitlines():
            name, _, count = line.rpartition("\t")
            if name == queue:
                return int(count)
        raise LookupError(queue)

    # -- inside

    def _write_configuration(self) -> None:
        (self.folder / "home").mkdir(parents=True)
        (self.folder / "log").mkdir()
        (self.folder / "rabbitmq.conf").write_text(_CONFIGURATION.format(port=self.port))
        (self.folder / "advanced.config").write_text(_ADVANCED)
        (self.folder / "plugins").write_text("[].\n")

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(folder / "home"),
            "ERL_EPMD_PORT": str(self.mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": "/dev/null",
            "RUNNING_UNDER_SYSTEMD": "yes",  # no shell stays in between, so that the process id is the server's
            "RABBITMQ_NODENAME": f"kombu-green-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
            "RABBITMQ_CTL_ERL_ARGS": "+S 1:1 +sbwt none",
        }

    def _start_mapper(self) -> None:
        if self._mapper is None:
            self._mapper = subprocess.Popen(
                ["epmd", "-port", str(self.mapper_port), "-address", "127.0.0.1"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            _wait_for_port(self.mapper_port, Deadline.after(PATIENCE))

    def _wait_for_listener(self) -> None:
        assert self._server is not None
        deadline = Deadline.after(PATIENCE)
        while not _answers(self.port):
            if self._server.poll() is not None or deadline.expired:
                said = (self.folder / "console.log").read_text(errors="replace")[-4000:]
                raise RuntimeError(f"RabbitMQ did not start (exit code {self._server.poll()}):\n{said}")
            time.sleep(0.05)

    def _end(self, number: signal.Signals) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.send_signal(number)
            try:
                server.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _answers(port: int) -> bool:
    """Whether the broker on *port* speaks AMQP: the listener opens a moment before it does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
            probe.sendall(b"AMQP\x00\x00\x09\x01")
            return probe.recv(7) != b""
    except OSError:
        return False


def _wait_for_port(port: int, deadline: Deadline) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            deadline.check(f"waiting for port {port}")
            time.sleep(0.02)


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """One server for all tests that do not hurt it."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    server = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    try:
        server.start()
        yield server
    finally:
        server.stop()
