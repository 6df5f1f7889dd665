"""``bin/demo`` as a process, with a real worker, on an SQLite file."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kombu_green import Connection, Producer, Queue
from tests.support.rabbitmq import RabbitMQ
from workers.demo import __main__ as demo_main
from workers.demo.interruption import Interruption
from workers.demo.outcome import Tally
from workers.demo.process import WorkerProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc says which processes are left")

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "workers" / "samples"
WHOLE = ("julia.jpg", "portrait-on-its-side.jpeg", "discs.png", "lissajous.gif", "plasma.webp", "orbits.mp4")
BROKEN = ("truncated.jpg", "not-a-picture.jpg")


class Demo:
    """One run of the demo on *folder*."""

    def __init__(self, *arguments: str | Path, path: Path | None = None) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(p) for p in (path, ROOT) if p)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "workers.demo", *map(str, arguments)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.state: Path | None = None

    def __enter__(self) -> Demo:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        if self.state is not None:
            shutil.rmtree(self.state)

    def find_state(self) -> Path:
        """Its first line says where it keeps its state."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"state in (\S+)", line)
        assert found, line
        self.state = ROOT / found[1]
        return self.state

    def end(self) -> tuple[int, list[str], str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out.splitlines(), err

    @property
    def worker(self) -> int:
        """The process id of the worker that it started."""
        (child,) = children(self.process.pid)
        return child


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def left_over(state: Path) -> list[str]:
    """Processes with *state* in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(state).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder with enough files for some seconds of work."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(400):
        (folder / f"{number}.jpg").symlink_to(SAMPLES / "julia.jpg")
    return folder


def test_the_demo_handles_the_samples() -> None:
    with Demo() as demo:
        state = demo.find_state()
        code, out, err = demo.end()
        assert out[-1] == f"processed={len(WHOLE)} dead_lettered={len(BROKEN)} lost=0"
        assert code == 0, err
        text = "\n".join(out)
        for name in (*WHOLE, *BROKEN):
            assert text.count(name) == 1
        assert "image file is truncated" in text
        assert "neither a picture nor a video" in text
        assert len(list((state / "thumbnails").iterdir())) == len(WHOLE)
        assert left_over(state) == []


def test_unusual_file_names_are_handled(tmp_path: Path) -> None:
    names = [
        b"two\nlines.jpg",
        b"not \xff utf-8.JPG",
        b"[red]x[bold].jpg",
        "zwölf 雪.jpg".encode(),
        b"-rf.jpg",
        b" .jpg",
    ]
    for name in names:
        shutil.copy(SAMPLES / "julia.jpg", tmp_path / os.fsdecode(name))
    (tmp_path / "dangling.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.gif")
    with Demo(tmp_path) as demo:
        demo.find_state()
        code, out, err = demo.end()
        assert out[-1] == f"processed={len(names)} dead_lettered=2 lost=0"
        assert code == 0, err
        assert r"two\nlines.jpg" in "\n".join(out)


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_a_folder_without_media_files_exits_with_2(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / kind
    if kind == "empty":
        folder.mkdir()
    if kind == "file":
        folder.touch()
    with Demo(folder) as demo:
        code, out, err = demo.end()
    assert code == 2
    assert out == []
    assert err.count("\n") == 1
    assert str(folder) in err


def test_an_unusable_broker_is_one_error() -> None:
    with Demo("--broker", "carrierpigeon://user:secret@127.0.0.1/") as demo:
        demo.find_state()
        code, _out, err = demo.end()
    assert code == 1
    assert "carrierpigeon" in err
    assert "secret" not in err
    assert "Traceback" not in err


def test_the_demo_runs_on_rabbitmq(rabbitmq: RabbitMQ) -> None:
    """With ``--broker``; messages of other runs stay in their queues."""
    with Connection(rabbitmq.url) as connection:
        channel = connection.channel()
        Queue("media.dead")(channel).declare()
        Producer(channel, serializer="json").publish({"path": "not the demo's"}, routing_key="media.dead")
    with Demo("--broker", rabbitmq.url) as demo:
        state = demo.find_state()
        code, out, err = demo.end()
        assert out[-1] == f"processed={len(WHOLE)} dead_lettered={len(BROKEN)} lost=0"
        assert code == 0, err
        assert left_over(state) == []
    left = dict(line.split() for line in rabbitmq.control("list_queues", "name", "messages").splitlines()[1:])
    ours = {name: count for name, count in left.items() if name == "media" or name.startswith("media.")}
    assert ours == {"media": "0", "media.dead": "1"}
    for name in ("media", "media.dead"):
        rabbitmq.control("delete_queue", name)


def test_a_worker_that_cannot_start_is_reported(tmp_path: Path) -> None:
    (tmp_path / "av.py").write_text("raise ImportError('no such library here')")
    with Demo(path=tmp_path) as demo:
        state = demo.find_state()
        code, out, err = demo.end()
        assert code == 1
        assert out[-1] == "processed=0 dead_lettered=0 lost=8"
        assert "exit code 78" in err
        assert "no such library here" in err
        assert left_over(state) == []


def test_files_without_a_result_count_as_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker runs on another broker, so no result comes."""
    monkeypatch.setattr(demo_main, "PATIENCE", 0.2)
    tally, results = Tally({"1": Path("1.jpg")}), Queue("media.results.1")
    with (
        Connection("memory://nobody") as connection,
        WorkerProcess(ROOT / "conf" / "media.ini", "memory://elsewhere", tmp_path / "log") as worker,
    ):
        assert set(demo_main.collect(connection, tally, results, worker, Interruption())) <= {0}
        assert worker.exit_code is None
    assert str(tally) == "processed=0 dead_lettered=0 lost=1"


def test_a_killed_worker_is_reported(many: Path) -> None:
    with Demo(many) as demo:
        state = demo.find_state()
        wait_for((state / "thumbnails").exists)
        os.kill(demo.worker, signal.SIGKILL)
        code, out, err = demo.end()
        assert code == 1
        assert re.fullmatch(r"processed=[1-9]\d* dead_lettered=0 lost=[1-9]\d*", out[-1])
        assert "exit code -9" in err
        wait_for(lambda: not left_over(state), 5)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_stops_its_worker(number: signal.Signals, exit_code: int, many: Path) -> None:
    with Demo(many) as demo:
        state = demo.find_state()
        wait_for((state / "thumbnails").exists)
        demo.process.send_signal(number)
        code, _out, err = demo.end()
        assert code == exit_code, (_out, err)
        assert "Traceback" not in err
        assert left_over(state) == []
