"""A stage: a message that was delivered before starts after the launcher has admitted it.

It may have killed the process that had it, and the launcher may not know of that death yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gevent.event import AsyncResult

from kombu_green.dispatch.outcome import DeadLetter, Requeue
from kombu_green.ipc.message_keys import message_key
from kombu_green.ipc.messages import AdmissionClosed, AdmissionReply, AdmissionRequest
from kombu_green.message import Message
from kombu_green.worker.flight_recorder import FlightRecorder, MessageKeys
from kombu_green.worker.handler import HandleMessage, Job, Settle, Stage

__all__ = ["GateClosed", "GateStage", "RedeliveryGate"]

Say = Callable[[AdmissionRequest | AdmissionClosed], None]


class GateClosed(Exception):
    """The worker stops before the launcher has answered: the message goes back to its queue."""


class RedeliveryGate:
    """Where slots wait for the launcher's answers; one for each worker.

    Without a launcher there is nothing to ask, and :attr:`guarded` is False.
    """

    def __init__(self) -> None:
        self._say: Say | None = None
        self.guarded = False
        self._waiting: Final[dict[int, AsyncResult[str]]] = {}  # by row
        self._closed = False

    def guard(self, say: Say) -> None:
        """Ask the launcher, which *say* sends notes to, from the next start on."""
        self._say = say
        self.guarded = True

    def ask(self, row: int, key: bytes, queue: str) -> str:
        """Wait until the launcher has answered; returns the reason to park the message, or ``""`` when it may start.

        Raises :exc:`GateClosed`.
        """
        assert self._say is not None
        if self._closed:
            raise GateClosed
        result = self._waiting[row] = AsyncResult()
        try:
            self._say(AdmissionRequest(row, key.hex(), queue))
            return str(result.get())
        finally:
            del self._waiting[row]

    def answered(self, answer: AdmissionReply) -> None:
        waiting = self._waiting.get(answer.row)
        if waiting is not None:  # else its slot was killed meanwhile
            waiting.set(answer.park)

    def settled(self, row: int, key: bytes, *, back: bool = False) -> None:
        """Tell the launcher that the message it was asked about is settled, or was given *back* before it began."""
        if self._say is not None:
            self._say(AdmissionClosed(row, key.hex(), back))

    def open(self) -> None:
        self._closed = False

    def close(self) -> None:
        """Let no waiting message start: :meth:`ask` raises :exc:`GateClosed`, now and from now on."""
        self._closed = True
        for waiting in list(self._waiting.values()):
            waiting.set_exception(GateClosed())


class GateStage(Stage):
    """Puts the redelivered messages of one queue through *gate*; *recorder* has the row of the calling slot."""

    def __init__(self, gate: RedeliveryGate, recorder: FlightRecorder, queue: str, settle: Settle) -> None:
        self._gate: Final = gate
        self._recorder: Final = recorder
        self._queue: Final = queue
        self._keys: Final = MessageKeys(queue)
        self._settle: Final = settle

    def around_handling(self, job: Job, handle: HandleMessage) -> HandleMessage:
        admit = self._admit

        def handle_if_admitted(message: Message) -> None:
            if message.delivery_info.get("redelivered"):
                admit(message, handle)
            else:
                handle(message)

        return handle_if_admitted

    def _admit(self, message: Message, handle: HandleMessage) -> None:
        row, key = self._recorder.row().number, message_key(self._keys.material(message))
        try:
            park = self._gate.ask(row, key, self._queue)
        except GateClosed:
            self._settle(message, Requeue())
            self._gate.settled(row, key, back=True)  # else the launcher might wait for it, and hold others back
            return
        if park:
            self._settle(message, DeadLetter(park))
        else:
            handle(message)
        self._gate.settled(row, key)
