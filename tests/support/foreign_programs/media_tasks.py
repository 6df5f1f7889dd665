"""Callbacks of a kombu_green worker that read Celery's tasks, and answer as a Celery worker would."""

from __future__ import annotations

import os
from typing import Any

from kombu_green import Connection, Producer
from kombu_green.dispatch.history import attempt_of
from kombu_green.message import Message

_answers = Connection(os.environ["BROKER"])

#: of the headers, what a test wants to know
NOTED = ("task", "id", "root_id", "eta", "expires", "retries", "shop")


def handle(body: Any, message: Message) -> None:
    """``media.stumble`` fails at its first attempt; every other task is answered with what it looks like here."""
    attempt = attempt_of(message.headers, message.delivery_info["routing_key"])
    if message.headers.get("task") == "media.stumble" and attempt == 1:
        raise ValueError("stumbled")
    answer(message, {"body": body, "attempt": attempt, **{name: message.headers.get(name) for name in NOTED}})


def answer(message: Message, result: Any) -> None:
    """Celery's RPC backend waits for this in the queue that ``reply_to`` names."""
    id = message.properties["correlation_id"]
    said = {"task_id": id, "status": "SUCCESS", "result": result, "traceback": None, "children": []}
    Producer(_answers).publish(said, message.properties["reply_to"], correlation_id=id, mandatory=True)
