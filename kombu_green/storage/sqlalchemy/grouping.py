"""Many callers, one transaction: leader and followers.

A caller appends its task.  Who finds nobody leading leads: it takes all tasks that wait and has a native thread run
them as one group; meanwhile others append, and the first of them leads the next group.  So a group grows with the load,
a lone caller waits for nobody, and nobody leads more than one group.

A greenlet may be killed anywhere.  A follower whose task nobody has begun takes it back.  A leader that is killed
leaves its group to the thread, and its followers hand the same group to the thread again: it runs once, and whoever
comes back from there knows that it has run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

from gevent import get_hub
from gevent.event import Event
from gevent.hub import Hub

from kombu_green.green.threads import Threads

__all__ = ["Effect", "Grouping", "Task", "Verb"]

A = TypeVar("A")
T = TypeVar("T")
A_contra = TypeVar("A_contra", contravariant=True)
T_co = TypeVar("T_co", covariant=True)

_LARGEST = 500  # tasks of one group: bounds how long the database is held


class Effect(Enum):
    READS = "reads"
    LENDS = "lends"  # writes what a power failure may undo: the message is handed out again
    KEEPS = "keeps"  # writes what must be there after a power failure


@dataclass(frozen=True, slots=True)
class Verb(Generic[A_contra, T_co]):
    """An operation that is done for many callers at once.

    ``do`` gets a session and the arguments of all callers, and gives as many results.  A result that is an exception is
    raised for that caller alone.
    """

    rank: int  # a group does its verbs in this order
    effect: Effect
    do: Callable[[Any, Sequence[A_contra]], Sequence[T_co | Exception]]


class Task(Generic[A, T]):
    """One caller's operation, and what came of it."""

    __slots__ = ("argument", "done", "group", "leads", "outcome", "turn", "verb")

    def __init__(self, verb: Verb[A, T], argument: A) -> None:
        self.verb: Final = verb
        self.argument: Final = argument
        self.done = False
        self.leads = False
        self.outcome: T | BaseException | None = None
        self.group: _Group | None = None  # since it was begun
        self.turn: Final = Event()

    def finish(self, outcome: T | BaseException) -> None:
        if not self.done:
            self.outcome = outcome
            self.done = True

    def result(self) -> T:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return cast("T", self.outcome)


AnyTask = Task[Any, Any]


class Grouping:
    """Runs tasks in groups with *run*, which is called in a native thread, by one group at a time for each hub.

    *run* must finish every task, and must not raise.
    """

    def __init__(self, threads: Threads, run: Callable[[Sequence[AnyTask]], None]) -> None:
        if threads.size != 1:
            raise ValueError("groups follow each other in one thread")
        self._threads: Final = threads
        self._run: Final = run
        self._lanes: WeakKeyDictionary[Hub, _Lane] = WeakKeyDictionary()

    def call(self, verb: Verb[A, T], argument: A) -> T:
        """Do it, together with what others want done now; only the calling greenlet waits."""
        task = Task(verb, argument)
        lane = self._lane()
        lane.waiting.append(task)
        if lane.led:
            self._follow(lane, task)
        else:
            lane.led = task.leads = True
        if task.leads:
            self._lead(lane)
        while not task.done and task.group is not None:
            self._threads.call(task.group.run)  # its leader was killed
        return task.result()

    def _lane(self) -> _Lane:
        hub = get_hub()
        lane = self._lanes.get(hub)
        if lane is None:
            lane = self._lanes[hub] = _Lane()
        return lane

    def _follow(self, lane: _Lane, task: AnyTask) -> None:
        try:
            task.turn.wait()
        except BaseException:
            if task.group is None:
                lane.waiting.remove(task)
            if task.leads:
                lane.hand_over()
            raise

    def _lead(self, lane: _Lane) -> None:
        group = lane.begin(self._run)
        try:
            self._threads.call(group.run)
        except Exception as error:  # noqa: BLE001  the thread was not reached: it is closed
            group.finish(error)
        finally:
            group.wake()
            lane.hand_over()


class _Lane:
    """The callers of one hub: events, and the order of turns, work within one native thread."""

    __slots__ = ("__weakref__", "led", "waiting")

    def __init__(self) -> None:
        self.waiting: Final[deque[AnyTask]] = deque()
        self.led = False

    def begin(self, run: Callable[[Sequence[AnyTask]], None]) -> _Group:
        tasks = [self.waiting.popleft() for _ in range(min(len(self.waiting), _LARGEST))]
        group = _Group(tasks, run)
        for task in tasks:
            task.group = group
        return group

    def hand_over(self) -> None:
        if self.waiting:
            self.waiting[0].leads = True
            self.waiting[0].turn.set()
        else:
            self.led = False


class _Group:
    __slots__ = ("_begun", "_run", "_tasks")

    def __init__(self, tasks: Sequence[AnyTask], run: Callable[[Sequence[AnyTask]], None]) -> None:
        self._tasks: Final = tasks
        self._run: Final = run
        self._begun = False

    def run(self) -> None:
        """In the one native thread: when a second call comes to its turn, the first is over."""
        if not self._begun:
            self._begun = True
            self._run(self._tasks)

    def finish(self, error: Exception) -> None:
        for task in self._tasks:
            task.finish(error)

    def wake(self) -> None:
        for task in self._tasks:
            task.turn.set()
