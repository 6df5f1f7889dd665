"""A Celery application: its worker, and whoever sends it tasks."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from celery import Celery

F = TypeVar("F", bound=Callable[..., Any])

app = Celery("shop", broker=os.environ["BROKER"], backend="rpc://")
app.conf.update(
    accept_content=["json"],
    # what py-amqp has read ahead is looked at when the socket has something again, at the latest a heartbeat
    broker_heartbeat=2,
    broker_connection_retry_on_startup=True,
    task_default_queue=os.environ["TASKS"],
    task_remote_tracebacks=False,
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=1,
    worker_send_task_events=True,
)


def task(name: str, **options: Any) -> Callable[[F], F]:
    """Celery's decorator, which has no types."""
    return app.task(name=name, **options)  # type: ignore[no-any-return]


@task("shop.describe")
def describe(*args: Any, **kwargs: Any) -> str:
    return repr((args, kwargs))


@task("shop.add")
def add(a: int, b: int) -> int:
    return a + b


@task("shop.fail")
def fail(text: str) -> None:
    raise ValueError(text)


@task("shop.later", bind=True, max_retries=1)
def later(self: Any) -> int:
    """Its first attempt asks for another one, for which Celery publishes it anew."""
    retries: int = self.request.retries
    if not retries:
        raise self.retry(countdown=0)
    return retries


@task("shop.ask", ignore_result=True)
def ask(queue: str, reply_to: str) -> None:
    """A worker that sends a task itself."""
    app.send_task("media.describe", ["from", "a worker"], queue=queue, reply_to=reply_to)
