"""Whoever sends tasks with Celery, and waits for their results; its environment is that of :mod:`.celery_app`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.foreign_programs.answering import answer
from tests.support.foreign_programs.celery_app import app

#: seconds for what should take a fraction of one
PATIENCE = 30.0

results: dict[str, Any] = {}


def send(task: str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any) -> str:
    """The id of the task; :func:`result` waits for what comes of it."""
    sent = app.send_task(task, args, dict(kwargs or {}), **options)
    results[sent.id] = sent
    return str(sent.id)


def send_chain(first: str, second: str, queue: str) -> str:
    """Two tasks, the second of which gets the result of the first and two arguments of its own."""
    head = app.signature(first, args=["one"], queue=queue)
    tail = app.signature(second, args=["two"], kwargs={"n": 3}, queue=queue)
    sent = (head | tail).apply_async()
    results[sent.id] = sent
    return str(sent.id)


def send_in_protocol_1(task: str, args: Sequence[Any], queue: str) -> str:
    protocol_2, app.amqp.create_task_message = app.amqp.create_task_message, app.amqp.as_task_v1
    try:
        return send(task, args, queue=queue)
    finally:
        app.amqp.create_task_message = protocol_2


def result(id: str) -> Any:
    return results.pop(id).get(timeout=PATIENCE)


if __name__ == "__main__":
    operations = (send, send_chain, send_in_protocol_1, result)
    answer({operation.__name__: operation for operation in operations})
