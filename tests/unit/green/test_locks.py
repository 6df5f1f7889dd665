"""In a patched process: native threads that contend for a lock all finish."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
from kombu_green.green.monkey import patch
patch()
import io, logging, os, threading, gevent
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool
nap = get_original("time", "sleep")
{contend}
pool = ThreadPool(2)
workers = [pool.spawn(work) for _ in range(2)]
workers += globals().get("others", [])
gevent.wait(workers, timeout=20)
os._exit(0 if all(worker.successful() for worker in workers) else 1)
"""

CONTENDING = {
    "a lock": """
lock = threading.Lock()
def work():
    for n in range(1500):
        with lock:
            nap(0.00001 if n % 3 == 0 else 0)
""",
    "a lock that can be taken twice": """
lock = threading.RLock()
def work():
    for n in range(1500):
        with lock, lock:
            nap(0.00001 if n % 3 == 0 else 0)
""",
    "the log": """
logging.basicConfig(stream=io.StringIO())
def work():
    for n in range(3000):
        logging.warning("x" * 2000)
""",
}


CONTENDING["greenlets and a thread"] = """
lock = threading.Lock()
def work():
    for n in range(800):
        with lock:
            nap(0.00001 if n % 3 == 0 else 0)
others = [gevent.spawn(work) for _ in range(3)]
"""
CONTENDING["a wait that has an end"] = """
lock = threading.Lock()
def work():
    for n in range(300):
        while not lock.acquire(timeout=5):
            raise AssertionError("it was free meanwhile")
        nap(0.0001)
        lock.release()
"""


@pytest.mark.parametrize("what", CONTENDING)
def test_contending_threads_finish(what: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(contend=CONTENDING[what])], timeout=60, check=False)
    assert done.returncode == 0, f"two native threads stood still over {what}"
