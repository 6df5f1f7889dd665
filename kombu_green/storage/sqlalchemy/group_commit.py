"""Group commit: what many greenlets want done now is done in one transaction, by a leader for its followers.

A caller appends its call to the list of its hub.  If that list has no leader, the caller becomes it: it takes all calls
of the list and has a native thread run them as one group.  Meanwhile others append theirs, and the first of them leads
the next group.  So groups grow with the load, a lone caller waits for no one, and no caller leads more than one group.

A greenlet may be killed anywhere.  A follower whose call has not begun removes it.  When a leader is killed its group
stays with the thread, and its followers submit the same group again: it runs once, and has run when a caller returns
from the thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from time import monotonic
from typing import Any, Final, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

from gevent import get_hub
from gevent.event import Event
from gevent.hub import Hub

from kombu_green.green.threads import Threads

__all__ = ["AnyCall", "Durability", "GroupCommit", "Operation", "PendingCall"]

A = TypeVar("A")
T = TypeVar("T")
A_contra = TypeVar("A_contra", contravariant=True)
T_co = TypeVar("T_co", covariant=True)

_MAX_GROUP: Final = 500  # calls of one group: bounds how long the database is locked


class Durability(Enum):
    """What a power failure may do to an operation that has returned."""

    READ_ONLY = "writes nothing"
    LOSABLE = "may be undone: then the message is handed out again"
    DURABLE = "is on disk"


@dataclass(frozen=True, slots=True)
class Operation(Generic[A_contra, T_co]):
    """An operation of the store that is run for many callers at once.

    ``run`` gets a transaction and the arguments of all callers, and returns as many results.  A result that is an
    exception is raised for that caller alone.
    """

    rank: int  # the operations of a group run in this order
    durability: Durability
    run: Callable[[Any, Sequence[A_contra]], Sequence[T_co | Exception]]


class PendingCall(Generic[A, T]):
    """One caller's operation, and its outcome."""

    __slots__ = ("argument", "done", "group", "leads", "operation", "outcome", "turn")

    def __init__(self, operation: Operation[A, T], argument: A) -> None:
        self.operation: Final = operation
        self.argument: Final = argument
        self.done = False
        self.leads = False
        self.outcome: T | BaseException | None = None
        self.group: _CallGroup | None = None  # set when it is begun
        self.turn: Final = Event()

    def finish(self, outcome: T | BaseException) -> None:
        if not self.done:
            self.outcome = outcome
            self.done = True

    def result(self) -> T:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return cast("T", self.outcome)


AnyCall = PendingCall[Any, Any]


class GroupCommit:
    """Runs calls in groups: *run* is called in a native thread, with one group at a time.

    *run* must call ``finish`` of every call of the group, and must not raise.
    """

    def __init__(self, threads: Threads, run: Callable[[Sequence[AnyCall]], None]) -> None:
        if threads.size != 1:
            raise ValueError("groups follow each other in one thread")
        self._threads: Final = threads
        self._run: Final = run
        #: the monotonic time at which the group that runs was begun; None while none runs
        self.running_since: float | None = None
        self._hubs: WeakKeyDictionary[Hub, _HubCalls] = WeakKeyDictionary()

    def call(self, operation: Operation[A, T], argument: A) -> T:
        """Run *operation* in the next group, and return or raise its outcome.  Only the calling greenlet waits."""
        call = PendingCall(operation, argument)
        calls = self._calls_of_this_hub()
        calls.waiting.append(call)
        if calls.has_leader:
            self._follow(calls, call)
        else:
            calls.has_leader = call.leads = True
        if call.leads:
            self._lead(calls)
        while not call.done and call.group is not None:
            self._threads.call(call.group.run)  # its leader was killed
        return call.result()

    def _calls_of_this_hub(self) -> _HubCalls:
        hub = get_hub()
        calls = self._hubs.get(hub)
        if calls is None:
            calls = self._hubs[hub] = _HubCalls()
        return calls

    def _follow(self, calls: _HubCalls, call: AnyCall) -> None:
        try:
            call.turn.wait()
        except BaseException:
            if call.group is None:
                calls.waiting.remove(call)
            if call.leads:
                calls.appoint_leader()
            raise

    def _lead(self, calls: _HubCalls) -> None:
        group = calls.begin(self._run)
        self.running_since = monotonic()
        try:
            self._threads.call(group.run)
        except Exception as error:  # noqa: BLE001  the thread is closed; every caller is told
            group.finish(error)
        finally:
            self.running_since = None
            group.wake()
            calls.appoint_leader()


class _HubCalls:
    """The calls of one hub that wait for their group.  Hubs are apart, as gevent's events work within one thread."""

    __slots__ = ("__weakref__", "has_leader", "waiting")

    def __init__(self) -> None:
        self.waiting: Final[deque[AnyCall]] = deque()
        self.has_leader = False

    def begin(self, run: Callable[[Sequence[AnyCall]], None]) -> _CallGroup:
        calls = [self.waiting.popleft() for _ in range(min(len(self.waiting), _MAX_GROUP))]
        group = _CallGroup(calls, run)
        for call in calls:
            call.group = group
        return group

    def appoint_leader(self) -> None:
        """Let the first call that waits lead the next group."""
        if self.waiting:
            self.waiting[0].leads = True
            self.waiting[0].turn.set()
        else:
            self.has_leader = False


class _CallGroup:
    """The calls that run together; any caller may run the group, and it runs once."""

    __slots__ = ("_begun", "_calls", "_run")

    def __init__(self, calls: Sequence[AnyCall], run: Callable[[Sequence[AnyCall]], None]) -> None:
        self._calls: Final = calls
        self._run: Final = run
        self._begun = False

    def run(self) -> None:
        """Called in the one native thread, so a second call begins when the first is over."""
        if not self._begun:
            self._begun = True
            self._run(self._calls)

    def finish(self, error: Exception) -> None:
        for call in self._calls:
            call.finish(error)

    def wake(self) -> None:
        for call in self._calls:
            call.turn.set()
