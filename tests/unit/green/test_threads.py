"""Calls in native threads leave the hub free."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Iterator

import gevent
import pytest

from kombu_green.green.threads import Threads


def fail_in_the_thread() -> None:
    raise LookupError("nothing there")


@pytest.fixture
def threads() -> Iterator[Threads]:
    pool = Threads(2)
    yield pool
    pool.close()


def test_runs_in_another_thread_and_returns(threads: Threads) -> None:
    assert threads.call(threading.get_ident) != threading.get_ident()
    assert threads.call(lambda a, b: a + b, 2, 3) == 5
    assert threads.call(int, "11", base=2) == 3


def test_the_hub_turns_while_the_function_blocks(threads: Threads) -> None:
    entered, leave = threading.Event(), threading.Event()
    turns = 0

    def block() -> bool:
        entered.set()
        return leave.wait(10)

    caller = gevent.spawn(threads.call, block)
    while not entered.is_set():
        gevent.sleep(0.001)
    for _ in range(5):
        gevent.sleep(0)
        turns += 1
    assert not caller.ready()
    leave.set()
    assert caller.get(timeout=10) is True
    assert turns == 5


def test_exceptions_keep_their_traceback_and_are_not_printed(
    threads: Threads, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LookupError, match="nothing there") as caught:
        threads.call(fail_in_the_thread)
    assert "fail_in_the_thread" in "".join(traceback.format_tb(caught.value.__traceback__))
    assert capfd.readouterr().err == ""


def test_exit_exceptions_come_through_too(threads: Threads) -> None:
    with pytest.raises(SystemExit):
        threads.call(sys.exit, 3)
    assert threads.call(int, 4) == 4


def test_never_more_threads_than_its_size(threads: Threads) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def busy() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.002)
        with lock:
            now -= 1

    gevent.joinall([gevent.spawn(threads.call, busy) for _ in range(20)], timeout=20, raise_error=True)
    assert (now, most) == (0, 2)


def test_a_killed_caller_leaves_the_function_to_finish_and_the_thread_free() -> None:
    threads = Threads(1)
    entered, leave, finished = threading.Event(), threading.Event(), threading.Event()

    def block() -> None:
        entered.set()
        leave.wait(10)
        finished.set()

    caller = gevent.spawn(threads.call, block)
    while not entered.is_set():
        gevent.sleep(0.001)
    caller.kill(timeout=10)
    assert caller.ready()
    assert threads.running == 1
    leave.set()
    assert threads.call(int, 5) == 5  # the only thread is free again
    assert finished.is_set()
    threads.close()


def test_a_call_from_inside_runs_right_there() -> None:
    threads = Threads(1)

    def outer() -> bool:
        return threads.call(threading.get_ident) == threading.get_ident()

    assert threads.call(outer)
    threads.close()


def test_each_hub_has_its_own_pool(threads: Threads) -> None:
    seen: list[int] = []

    def other_program() -> None:
        callers = [gevent.spawn(threads.call, threading.get_ident) for _ in range(8)]
        numbers = [caller.get(timeout=10) for caller in callers]
        assert threading.get_ident() not in numbers
        seen.extend(numbers)
        gevent.get_hub().destroy(destroy_loop=True)

    for _ in range(3):
        thread = threading.Thread(target=other_program)
        thread.start()
        assert threads.call(int, 7) == 7
        thread.join(10)
        assert not thread.is_alive()
    assert len(seen) == 24
    assert len(threads._pools) <= 2, "pools of hubs that ended are given up"


def test_close_refuses_new_calls_lets_old_ones_finish_and_ends_the_threads() -> None:
    threads = Threads(2)
    entered, leave = threading.Event(), threading.Event()

    def block(number: int) -> int:
        entered.set()
        leave.wait(10)
        return number

    callers = [gevent.spawn(threads.call, block, number) for number in range(6)]  # some wait for a thread
    while not entered.is_set():
        gevent.sleep(0.001)
    threads.close()
    threads.close()
    with pytest.raises(RuntimeError, match="closed"):
        threads.call(int)
    leave.set()
    assert [caller.get(timeout=10) for caller in callers] == list(range(6))
    (pool,) = threads._pools.values()
    with gevent.Timeout(10):
        while pool.threads.size:
            gevent.sleep(0.001)


def test_size_is_checked() -> None:
    with pytest.raises(ValueError, match="at least"):
        Threads(0)


@pytest.mark.parametrize("first", ["", "from gevent import monkey; monkey.patch_all()"])
def test_the_child_of_a_fork_has_threads_of_its_own(first: str) -> None:
    program = f"""
        {first}
        import os, gevent, _thread
        from kombu_green.green.threads import Threads
        threads, unused = Threads(2), Threads(1)
        unused.call(int)
        entered, leave = os.pipe(), os.pipe()
        busy = gevent.spawn(threads.call, lambda: (os.write(entered[1], b"x"), os.read(leave[0], 1)))
        gevent.sleep(0)
        os.read(entered[0], 1)  # a thread is busy while the process forks
        child = os.fork()
        if child == 0:
            with gevent.Timeout(20):
                assert threads.call(int, 2) == 2
                assert threads.running == 0
                threads.close()
                unused.close()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        os.write(leave[1], b"x")
        assert busy.get(timeout=20) == (1, b"x")
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_works_patched_too() -> None:
    program = """
        from gevent import monkey
        monkey.patch_all()
        import gevent, threading
        from kombu_green.green.threads import Threads
        sleep = monkey.get_original("time", "sleep")
        ident = monkey.get_original("_thread", "get_ident")
        threads = Threads(1)
        turns = []
        ticker = gevent.spawn(lambda: [turns.append(gevent.sleep(0.001)) for _ in range(10)])
        assert threads.call(ident) != ident()
        threads.call(sleep, 0.2)
        assert len(turns) == 10, turns
        assert threads.call(lambda: threads.call(ident) == ident())
        threads.close()
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
