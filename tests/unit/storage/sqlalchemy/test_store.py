"""What is particular to a database on disk; what every store must do is in the contract."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import gevent
import pytest
from sqlalchemy import Engine, event

from kombu_green.clock import Deadline
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import ConnectionLost, KombuError, OperationalError
from kombu_green.message import Content
from kombu_green.routing import Binding
from kombu_green.storage.contract import Put
from kombu_green.storage.sqlalchemy import SQLAlchemyStore
from kombu_green.storage.sqlalchemy.lease_clock import LeaseClock, system_lease_clock

PATIENCE = 20.0
URL = "KOMBU_GREEN_TEST_URL"


class Clock:
    """The wall clock and the lease clock, until a test moves both of them by *ahead*, or the wall clock alone."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.wall_ahead = 0.0
        self._leases = system_lease_clock()
        self.leases = LeaseClock(lambda: self._leases.now() + self.ahead, self._leases.boot)

    def __call__(self) -> float:
        return time.time() + self.ahead + self.wall_ahead


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "broker.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[SQLAlchemyStore]:
    with closing(SQLAlchemyStore(f"sqlite:///{path}", clock=clock, lease_clock=clock.leases)) as store:
        store.declare(QueueSpec("q"))
        yield store


def put(store: SQLAlchemyStore, *bodies: str, delay: float = 0.0) -> None:
    store.put([Put("q", Content(body.encode()), delay=delay) for body in bodies])


def take(store: SQLAlchemyStore, count: int = 99, lease: float = 60.0) -> list[str]:
    return [reserved.content.body.decode() for reserved in store.reserve({"q": count}, lease=lease)]


def python(path: Path, program: str, *, patched: bool = False, ahead: int = 0) -> subprocess.Popen[str]:
    """Another process that has the database open as ``store``; its wall clock is *ahead* seconds ahead."""
    start = "from gevent import monkey; monkey.patch_all()\n" if patched else ""
    start += f"""
import os, sys, time
from kombu_green.clock import Deadline
from kombu_green.message import Content
from kombu_green.routing import Binding
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.storage.contract import Put
from kombu_green.storage.sqlalchemy import SQLAlchemyStore
url = os.environ[{URL!r}]
store = SQLAlchemyStore(url, clock=lambda: time.time() + {ahead})
"""
    return subprocess.Popen(
        [sys.executable, "-c", start + program],
        env=os.environ | {URL: f"sqlite:///{path}", "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


@pytest.mark.parametrize("patched", [False, True], ids=["unpatched", "patched"])
def test_other_processes_share_it(store: SQLAlchemyStore, path: Path, patched: bool) -> None:
    store.declare(QueueSpec("replies"))
    program = """
with_wakeups = store.wakeups()
while not (taken := store.reserve({"q": 1}, lease=60)):
    with_wakeups.wait(["q"], Deadline.after(20))
store.put([Put("replies", Content(taken[0].content.body.upper()))])
store.ack([taken[0].receipt])
store.close()
print("done", flush=True)
"""
    with python(path, program, patched=patched) as other, closing(store.wakeups()) as wakeups:
        put(store, "hello")
        deadline = Deadline.after(PATIENCE)
        while not (taken := store.reserve({"replies": 1}, lease=60)):
            deadline.check("no reply came")
            wakeups.wait(["replies"], deadline)
        assert taken[0].content.body == b"HELLO"
        assert line(other) == "done"
        assert other.wait(PATIENCE) == 0


def test_greenlets_of_a_patched_process_open_stores_at_the_same_time(path: Path) -> None:
    program = """
import gevent
def use(number):
    own = SQLAlchemyStore(f"{url}.{number % 2}")
    own.declare(QueueSpec("q"))
    own.put([Put("q", Content(b"x"))])
    own.close()
with gevent.Timeout(20):
    gevent.joinall([gevent.spawn(use, number) for number in range(8)], raise_error=True)
print("done", flush=True)
"""
    with python(path, program, patched=True) as other:
        assert line(other) == "done"


def test_processes_create_the_same_database_at_the_same_time(path: Path) -> None:
    program = 'print(store.declare(QueueSpec("new")).ready, flush=True)'
    others = [python(path, program) for _ in range(4)]
    for other in others:
        with other:
            assert line(other) == "0"


def test_an_opening_that_is_killed_leaves_no_file_open(path: Path) -> None:
    files = Path("/proc/self/fd")
    before = len(list(files.iterdir())) if files.is_dir() else 0
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")  # keeps the others from switching to the write-ahead log
        opening = gevent.spawn(SQLAlchemyStore, f"sqlite:///{path}")
        gevent.sleep(0.05)
        opening.kill(timeout=PATIENCE)
        assert opening.dead
    deadline = Deadline.after(PATIENCE)
    while (len(list(files.iterdir())) if files.is_dir() else 0) > before:
        deadline.check("a file stayed open")
        gevent.sleep(0.01)


def test_a_put_of_another_process_wakes_a_consumer_before_it_polls(store: SQLAlchemyStore, path: Path) -> None:
    program = """
for number, _ in enumerate(sys.stdin):
    store.put([Put("q", Content(b"x"))])
    print("put", flush=True)
"""
    spans = []
    with python(path, program) as other, closing(store.wakeups()) as wakeups:
        assert other.stdin is not None
        for _ in range(9):
            waiting = gevent.spawn(wakeups.wait, ["q"], Deadline.after(PATIENCE))
            gevent.sleep(0.01)
            started = time.monotonic()
            other.stdin.write("\n")
            other.stdin.flush()
            waiting.get(timeout=PATIENCE)
            spans.append(time.monotonic() - started)
            assert line(other) == "put"
            assert take(store) == ["x"]
        other.stdin.close()
    assert sorted(spans)[len(spans) // 2] < 0.5, spans


def test_a_binding_of_another_process_is_seen_at_once(store: SQLAlchemyStore, path: Path) -> None:
    program = """
for key in sys.stdin:
    store.rebind(ExchangeSpec("e"), add=[Binding("q", key.strip())])
    print("bound", flush=True)
"""
    with python(path, program) as other:
        assert other.stdin is not None
        for number in range(20):
            store.bindings("e")
            other.stdin.write(f"key{number}\n")
            other.stdin.flush()
            assert line(other) == "bound"
            assert store.bindings("e").bindings[-1] == Binding("q", f"key{number}")
        other.stdin.close()


def test_unchanged_bindings_are_the_same_object(store: SQLAlchemyStore) -> None:
    """So a router that was compiled from them stays valid."""
    store.rebind(ExchangeSpec("e"), add=[Binding("q", "k")])
    known = store.bindings("e")
    put(store, "a")
    assert store.bindings("e") is known


def test_a_waiting_consumer_needs_next_to_no_cpu(store: SQLAlchemyStore) -> None:
    put(store, "late", delay=600)
    with closing(store.wakeups()) as wakeups:
        wakeups.wait(["q"], Deadline.after(0.01))
        started = time.process_time()
        wakeups.wait(["q"], Deadline.after(2.0))
        assert time.process_time() - started < 0.05 * 2.0  # 1 % is the aim; a slow machine shall not fail


@pytest.mark.parametrize("moment", range(3))
def test_messages_whose_put_has_returned_survive_kill_9(store: SQLAlchemyStore, path: Path, moment: int) -> None:
    program = """
import gevent
def publish(first):
    for number in range(first, 10**9, 20):
        store.put([Put("q", Content(str(number).encode()))])
        print(number, flush=True)
gevent.joinall([gevent.spawn(publish, first) for first in range(20)])
"""
    with python(path, program) as other:
        acknowledged = [int(line(other)) for _ in range(20 + 70 * moment)]
        other.send_signal(signal.SIGKILL)
        assert other.stdout is not None
        acknowledged += [int(rest) for rest in other.stdout.read().split("\n")[:-1]]
    there: list[int] = []
    while taken := take(store):
        there += map(int, taken)
    assert set(acknowledged) <= set(there)
    assert len(there) == len(set(there))


def test_what_a_killed_process_had_taken_is_handed_out_when_its_lease_ends(store: SQLAlchemyStore, path: Path) -> None:
    put(store, "a")
    with python(path, 'print(len(store.reserve({"q": 1}, lease=1.0)), flush=True); sys.stdin.read()') as other:
        assert line(other) == "1"
        other.kill()
    assert take(store) == []
    with closing(store.wakeups()) as wakeups:
        deadline = Deadline.after(PATIENCE)
        while not (taken := store.reserve({"q": 1}, lease=60)):
            deadline.check("it did not come back")
            wakeups.wait(["q"], deadline)
    assert taken[0].takes == 2


def test_a_wall_clock_that_is_ahead_hands_out_nothing_that_is_leased(store: SQLAlchemyStore, path: Path) -> None:
    put(store, "a")
    (taken,) = store.reserve({"q": 1}, lease=60)
    with python(
        path, 'print(len(store.reserve({"q": 1}, lease=60)), store.size("q"), flush=True)', ahead=3600
    ) as other:
        assert line(other) == "0 0"
    assert not store.ack([taken.receipt])


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_a_lease_ends_in_time_whatever_the_wall_clock_of_its_process(
    store: SQLAlchemyStore, path: Path, ahead: int
) -> None:
    put(store, "a")
    program = 'print(len(store.reserve({"q": 1}, lease=1.0)), flush=True); sys.stdin.read()'
    with python(path, program, ahead=ahead) as other:
        assert line(other) == "1"
        other.kill()
    assert take(store) == []
    with closing(store.wakeups()) as wakeups:
        deadline = Deadline.after(PATIENCE)
        while not take(store):
            deadline.check("it did not come back")
            wakeups.wait(["q"], deadline)


def test_everything_is_there_after_closing_and_opening(store: SQLAlchemyStore, path: Path) -> None:
    store.rebind(ExchangeSpec("e", "topic"), add=[Binding("q", "a.#")])
    put(store, "a", "b")
    (taken,) = store.reserve({"q": 1}, lease=60)
    store.close()
    with closing(SQLAlchemyStore(f"sqlite:///{path}")) as again:
        assert again.bindings("e").bindings == (Binding("q", "a.#"),)
        assert take(again) == ["b"]
        assert not again.ack([taken.receipt])


def test_acknowledged_messages_leave_no_row(store: SQLAlchemyStore, path: Path) -> None:
    put(store, "a", "b")
    store.ack([reserved.receipt for reserved in store.reserve({"q": 9}, lease=60)])
    with closing(sqlite3.connect(path)) as direct:
        assert direct.execute("SELECT count(*) FROM kombu_green_message").fetchone() == (0,)


def test_a_dropped_queue_leaves_no_row(store: SQLAlchemyStore, path: Path) -> None:
    put(store, "leased", "ready")
    put(store, "late", delay=60)
    take(store, 1)
    store.rebind(ExchangeSpec("e"), add=[Binding("q", "k")])
    store.drop("q")
    with closing(sqlite3.connect(path)) as direct:
        for table in ("queue", "message", "binding"):
            assert direct.execute(f"SELECT count(*) FROM kombu_green_{table}").fetchone() == (0,), table


def test_what_is_put_in_a_group_can_be_taken_in_it(store: SQLAlchemyStore) -> None:
    first = gevent.spawn(store.size, "q")  # leads; the others are the next group
    taking = gevent.spawn(take, store)
    putting = gevent.spawn(put, store, "a")
    first.get(timeout=PATIENCE)
    putting.get(timeout=PATIENCE)
    assert taking.get(timeout=PATIENCE) == ["a"]


def test_delays_and_leases_end_when_the_clock_says_so(store: SQLAlchemyStore, clock: Clock) -> None:
    put(store, "delayed", delay=1000)
    put(store, "leased")
    assert take(store, lease=2000) == ["leased"]
    clock.ahead = 900
    assert (take(store), store.size("q")) == ([], 0)
    clock.ahead = 1100
    assert store.size("q") == 1
    assert take(store, lease=9999) == ["delayed"]
    clock.ahead = 2100
    assert (store.size("q"), store.purge("q"), store.size("q")) == (1, 1, 0)


def test_a_wall_clock_that_is_set_moves_delays_and_no_lease(store: SQLAlchemyStore, clock: Clock) -> None:
    put(store, "leased")
    (leased,) = store.reserve({"q": 1}, lease=60)
    put(store, "delayed", delay=1800)
    with closing(store.wakeups()) as wakeups:
        for hours in (1, -1, 0):
            clock.wall_ahead = 3600.0 * hours
            wakeups.wait(["q"], Deadline.after(0.01))
            assert store.size("q") == (1 if hours == 1 else 0)
    assert not store.extend([leased.receipt], 60)
    clock.wall_ahead, clock.ahead = -3600, 61
    assert take(store) == ["leased"]
    assert store.ack([leased.receipt]) == [leased.receipt]


def test_after_a_restart_of_the_machine_every_lease_is_over(store: SQLAlchemyStore, path: Path, clock: Clock) -> None:
    put(store, "a", "b")
    put(store, "delayed", delay=1800)
    store.reserve({"q": 1}, lease=60)
    store.close()
    again = LeaseClock(lambda: 5.0, clock.leases.boot + 1)  # its time begins anew
    with closing(SQLAlchemyStore(f"sqlite:///{path}", clock=clock, lease_clock=again)) as restarted:
        assert take(restarted) == ["a", "b"]
        with closing(SQLAlchemyStore(f"sqlite:///{path}", clock=clock, lease_clock=again)) as second:
            assert take(second) == [], "only the first process after the restart ends leases"


def test_a_database_of_layout_1_is_upgraded(store: SQLAlchemyStore, path: Path) -> None:
    """It had leases by the wall clock, which are over; a process that knows layout 1 gets errors."""
    put(store, "leased", "ready")
    put(store, "delayed", delay=1800)
    take(store, 1)
    store.close()
    with closing(sqlite3.connect(path)) as direct, direct:
        direct.executescript(f"""
            DROP INDEX kombu_green_message_held;
            ALTER TABLE kombu_green_message RENAME COLUMN ends TO due;
            UPDATE kombu_green_message SET due = {time.time() + 60} WHERE state = 1;
            CREATE INDEX kombu_green_message_due ON kombu_green_message (queue_id, due) WHERE state != 0;
            DELETE FROM kombu_green_meta WHERE name = 'boot';
            UPDATE kombu_green_meta SET value = 1 WHERE name = 'layout';
        """)
    SQLAlchemyStore(f"sqlite:///{path}").close()
    new = path.with_name("new.db")
    SQLAlchemyStore(f"sqlite:///{new}").close()
    assert schema_of(path) == schema_of(new)
    with closing(SQLAlchemyStore(f"sqlite:///{path}")) as upgraded:
        assert take(upgraded) == ["leased", "ready"]
        assert upgraded.size("q") == 0


def schema_of(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as direct:
        rows = direct.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {" ".join(sql.replace('"', "").split()) for (sql,) in rows}


def test_a_late_renewal_is_valid_until_the_message_is_taken_again(store: SQLAlchemyStore, clock: Clock) -> None:
    put(store, "a", "b")
    a, b = store.reserve({"q": 2}, lease=60)
    clock.ahead = 100
    assert take(store, 1) == ["a"]  # makes both ready, and takes one
    assert store.extend([a.receipt, b.receipt], 60) == [a.receipt]
    assert take(store) == []
    assert not store.ack([b.receipt])


def test_thousands_of_leases_that_end_at_once_come_back_in_order(store: SQLAlchemyStore, clock: Clock) -> None:
    bodies = [str(number) for number in range(1200)]
    put(store, *bodies)
    while take(store, 500, lease=60):
        pass
    clock.ahead = 100
    assert store.size("q") == 1200
    again: list[str] = []
    while taken := take(store, 300, lease=60):
        again += taken
    assert again == bodies


def test_the_caller_whose_message_does_not_fit_is_the_only_one_to_fail(path: Path) -> None:
    """A real error of the database in the midst of a group: its disk is full for one of them."""

    def limit(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("PRAGMA max_page_count = 100")

    event.listen(Engine, "connect", limit)
    try:
        with closing(SQLAlchemyStore(f"sqlite:///{path}")) as store:
            store.declare(QueueSpec("q"))
            sizes = [10] * 6 + [10**6] + [10] * 6
            callers = [gevent.spawn(error_of, put, store, str(n) * size) for n, size in enumerate(sizes)]
            gevent.joinall(callers, timeout=PATIENCE, raise_error=True)
            errors = [caller.get() for caller in callers]
            assert [type(error) for error in errors] == [
                OperationalError if size > 10 else type(None) for size in sizes
            ]
            assert str(errors[6]) == f"{path}: database or disk is full"
            assert len(take(store)) == 12
    finally:
        event.remove(Engine, "connect", limit)


def error_of(function: Callable[..., object], *arguments: object) -> KombuError | None:
    try:
        function(*arguments)
    except KombuError as error:
        return error
    return None


def test_a_message_with_a_damaged_envelope_is_still_handed_out(
    store: SQLAlchemyStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, "a", "b")
    with closing(sqlite3.connect(path)) as direct, direct:
        direct.execute("UPDATE kombu_green_message SET envelope = x'00' WHERE id = 1")
    assert take(store) == ["a", "b"]
    assert "message 1 of queue 'q' has lost its headers" in caplog.text


def take_away(path: Path, fate: str) -> None:
    for file in path.parent.glob("broker.db*"):
        file.unlink()
    if fate == "replaced":
        SQLAlchemyStore(f"sqlite:///{path}").close()


@pytest.mark.parametrize(("verb", "argument"), [("put", [Put("q", Content(b"a"))]), ("size", "q"), ("drop", "q")])
@pytest.mark.parametrize("fate", ["removed", "replaced"])
def test_a_removed_or_replaced_database_is_an_error(
    store: SQLAlchemyStore, path: Path, verb: str, argument: object, fate: str
) -> None:
    take_away(path, fate)
    error = error_of(getattr(store, verb), argument)
    assert type(error) is ConnectionLost
    assert ("gone" if fate == "removed" else "replaced") in str(error)


@pytest.mark.parametrize("fate", ["removed", "replaced"])
def test_a_removed_or_replaced_database_ends_a_wait_with_an_error(
    store: SQLAlchemyStore, path: Path, fate: str
) -> None:
    with closing(store.wakeups()) as wakeups:
        waiting = gevent.spawn(error_of, wakeups.wait, ["q"], Deadline.after(PATIENCE))
        gevent.sleep(0.05)
        take_away(path, fate)
        assert type(waiting.get(timeout=PATIENCE)) is ConnectionLost


@contextmanager
def locked(path: Path, how: str) -> Iterator[None]:
    """Inside this context another program keeps everyone from writing."""
    if how == "transaction":
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            yield
    else:
        with open(f"{path}-changes", "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # as a process that was stopped during its turn
            yield


@pytest.mark.parametrize("how", ["transaction", "turn"])
def test_who_waits_for_a_lock_gets_an_error_in_time_and_nothing_is_lost(
    path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    limit = 0.5
    with closing(SQLAlchemyStore(f"sqlite:///{path}", answer_timeout=limit)) as store:
        store.declare(QueueSpec("q"))
        put(store, "acked", "released", "extended", "waits")
        acked, released, extended = store.reserve({"q": 3}, lease=60)
        calls: list[Callable[[], object]] = [
            lambda: put(store, "put"),
            lambda: take(store),
            lambda: store.ack([acked.receipt]),
            lambda: store.release([released.receipt]),
            lambda: store.extend([extended.receipt], 60),
            lambda: store.declare(QueueSpec("new")),
        ]
        with locked(path, how):
            started = time.monotonic()
            callers = [gevent.spawn(error_of, call) for call in calls * 20]
            assert store.size("q") == 1, "who only reads does not wait"
            gevent.joinall(callers, timeout=PATIENCE, raise_error=True)
            took = time.monotonic() - started
            errors = [caller.get() for caller in callers]
            assert {type(error) for error in errors} == {ConnectionLost}
            assert all("locked" in str(error) or "held this lock" in str(error) for error in errors), errors
            assert limit < took < 4 * limit
            assert store.connected
        assert caplog.text.count("cannot be used for now") == 1
        assert not store.ack([acked.receipt])
        assert not store.release([released.receipt])
        assert not store.extend([extended.receipt], 60)
        assert take(store) == ["released", "waits"]
        with locked(path, how):
            assert type(error_of(put, store, "x")) is ConnectionLost
        assert caplog.text.count("cannot be used for now") == 2


def test_a_closed_store_raises(store: SQLAlchemyStore) -> None:
    wakeups = store.wakeups()
    store.close()
    store.close()
    with pytest.raises(ConnectionLost, match="closed"):
        put(store, "a")
    with pytest.raises(ConnectionLost, match="closed"):
        wakeups.wait(["q"], Deadline.after(PATIENCE))


def test_closing_ends_the_waits_and_lets_the_others_finish(store: SQLAlchemyStore) -> None:
    wakeups = store.wakeups()
    waiting = gevent.spawn(wakeups.wait, ["q"], Deadline.never())
    putting = [gevent.spawn(error_of, put, store, str(number)) for number in range(10)]
    gevent.idle()
    store.close()
    gevent.joinall([waiting], timeout=PATIENCE)
    gevent.joinall(putting, timeout=PATIENCE, raise_error=True)
    assert waiting.ready()
    assert {type(caller.get()) for caller in putting} <= {type(None), ConnectionLost}


def test_a_forked_child_gets_an_error(store: SQLAlchemyStore) -> None:
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what it warns of is what this is about
        child = os.fork()
    if not child:  # pragma: no cover  it ends without a report
        try:
            put(store, "a")
        except ConnectionLost as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        assert "do not survive a fork" in said.read()
    put(store, "still good")
    assert take(store) == ["still good"]


def test_a_failed_opening_leaves_no_file_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    before = len(os.listdir("/proc/self/fd")) if Path("/proc").is_dir() else 0
    for _ in range(5):
        with pytest.raises(KombuError):
            SQLAlchemyStore(f"sqlite:///{tmp_path}/file/x.db")
    after = len(os.listdir("/proc/self/fd")) if Path("/proc").is_dir() else 0
    assert after <= before


def test_native_threads_share_a_store(store: SQLAlchemyStore) -> None:
    pool = gevent.get_hub().threadpool
    jobs = [pool.spawn(put, store, *(f"{name}.{number}" for number in range(5))) for name in range(6)]
    for job in jobs:
        job.get(timeout=PATIENCE)
    assert sorted(take(store)) == sorted(f"{name}.{number}" for name in range(6) for number in range(5))


def test_a_put_waits_for_the_disk_and_a_lease_or_an_ack_does_not(store: SQLAlchemyStore) -> None:
    """A power failure may undo a lease or an ack: the message is handed out again."""
    said: list[str] = []
    connection = store._database._connection
    assert connection is not None
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.set_trace_callback(said.append)

    def durability() -> list[str]:
        found = [line.rpartition(" ")[2] for line in said if line.startswith("PRAGMA synchronous =")]
        said.clear()
        return found

    put(store, "1")
    assert durability() == ["FULL"]
    (taken,) = store.reserve({"q": 1}, lease=60)
    assert durability() == ["NORMAL"]
    store.extend([taken.receipt], 60)
    store.release([taken.receipt])
    (taken,) = store.reserve({"q": 1}, lease=60)
    store.ack([taken.receipt])
    assert durability() == ["NORMAL"] * 4
    store.declare(QueueSpec("q2"))
    store.purge("q")
    store.drop("q2")
    assert durability() == ["FULL"] * 3
    alone = gevent.spawn(store.reserve, {"q": 1}, lease=60)  # the first leads a group of its own
    putting, extending = gevent.spawn(put, store, "2"), gevent.spawn(store.extend, [], 60)  # the others share one
    alone.get(), putting.get(), extending.get()
    assert durability() == ["NORMAL", "FULL"]
