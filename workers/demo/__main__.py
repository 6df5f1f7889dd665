"""``bin/demo [FOLDER]``: handle the media files of a folder with a real worker, and print the result of each.

Exit codes: 0 no file is lost · 1 a file is lost, or the worker cannot start · 2 there are no media files, or the
folder cannot be read · 130 or 143 interrupted by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from kombu_green import Connection, Consumer, Message, Producer, Queue
from kombu_green.exceptions import KombuError
from workers.demo.files import fresh_folder, media_files
from workers.demo.interruption import Interruption
from workers.demo.outcome import Tally, printable, table
from workers.demo.process import WorkerProcess

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds without a result after which the missing files count as lost


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        files = media_files(options.folder)
    except OSError as error:
        return fail(2, f"{options.folder}: {error.strerror}")
    if not files:
        return fail(2, f"{options.folder}: no media files are in it")
    interruption = Interruption()
    interruption.listen()
    try:
        return run(files, options.broker, interruption)
    except (KombuError, OSError) as error:
        return fail(1, str(error))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/demo", description="Handle the media files of a folder with a real worker."
    )
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "workers" / "samples", metavar="FOLDER")
    parser.add_argument("--broker", metavar="URL", help="another broker than an SQLite file of this run's own")
    return parser.parse_args(arguments)


def run(files: list[Path], broker: str | None, interruption: Interruption) -> int:
    state = fresh_folder(ROOT / "var" / "demo")
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(f"{len(files)} files; state in {state.relative_to(ROOT)}", markup=False)
    url = broker or f"sqla+sqlite:///{state / 'broker.db'}"
    tally = Tally({uuid.uuid4().hex: path for path in files})
    results = Queue(f"media.results.{uuid.uuid4().hex}")
    with Connection(url) as connection:
        publish(connection, tally, state / "thumbnails", results, interruption)
        with (
            WorkerProcess(ROOT / "conf" / "media.ini", url, state / "worker.log") as worker,
            Progress(console=console) as progress,
        ):
            bar = progress.add_task("handled", total=len(files))
            for settled in collect(connection, tally, results, worker, interruption):
                progress.update(bar, completed=settled)
        results(connection.default_channel).delete()
    if interruption:
        return fail(interruption.exit_code, f"interrupted: the worker is stopped; {tally}")
    if worker.exit_code or tally.lost:
        fail(1, f"the worker has ended with exit code {worker.exit_code}:\n{worker.last_words()}")
    console.print(table(tally, state))
    console.print(str(tally))
    return 1 if tally.lost else 0


def publish(connection: Connection, tally: Tally, thumbnails: Path, results: Queue, interruption: Interruption) -> None:
    """Publish one message for each file.  ``mandatory`` raises an error if no queue gets a message."""
    channel = connection.channel()
    for queue in (Queue("media"), results):
        queue(channel).declare()
    producer = Producer(channel, routing_key="media", serializer="json")
    for job, path in tally.files.items():
        if interruption:
            return
        producer.publish(
            {"path": str(path), "thumbnails": str(thumbnails)},
            mandatory=True,
            message_id=job,
            correlation_id=job,
            reply_to=results.name,
            timeout=PATIENCE,
        )


def collect(
    connection: Connection, tally: Tally, results: Queue, worker: WorkerProcess, interruption: Interruption
) -> Iterator[int]:
    """Consume replies and dead letters until every file has one, the worker has ended, or PATIENCE is over.

    Yields the number of settled files, at least twice a second.
    """

    def answered(body: Any, message: Message) -> None:
        tally.processed(message.properties["correlation_id"], body)
        message.ack()

    def dead_lettered(message: Message) -> None:
        job = message.properties.get("message_id")
        if job in tally.files:
            tally.dead_lettered(job, reason(message))
            message.ack()
        # Otherwise it belongs to another run, and goes back to its queue when the channel closes.

    channel = connection.channel()
    heard = time.monotonic()
    with (
        Consumer(channel, results, callbacks=[answered]),
        Consumer(channel, Queue("media.dead"), on_message=dead_lettered),
    ):
        while tally.lost and not interruption:
            settled, gone = (
                tally.settled,
                worker.exit_code is not None,
            )  # in this order: the last replies are consumed, too
            try:
                connection.drain_events(timeout=0.5)
            except TimeoutError:
                if gone or time.monotonic() - heard > PATIENCE:
                    break
            if tally.settled > settled:
                heard = time.monotonic()
            yield tally.settled


def reason(message: Message) -> str:
    """The message of the exception that the callback raised, or the worker's reason."""
    headers = message.headers
    return str(headers.get("x-kombu-green-message") or headers.get("x-kombu-green-reason") or "no reason given")


def fail(code: int, message: str) -> int:
    text = "\n".join(printable(line) for line in message.splitlines())
    Console(stderr=True, highlight=False).print(f"bin/demo: {text}", markup=False, soft_wrap=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
