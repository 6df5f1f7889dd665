"""A file becomes settings, or all of its problems are reported with file, line, section and key."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.config import loader
from kombu_green.config.loader import NAMED, SINGLE, read_state_setting
from kombu_green.config.problems import ConfigError
from kombu_green.config.settings import ConsumerSettings, Settings

SMALLEST = """\
[broker]
url = sqla+sqlite:///var/media.db
[consumer:media]
queue = media
callback = workers.media:handle
"""


def read(folder: Path, text: str, *overrides: str, **environ: str) -> Settings:
    file = folder / "w.ini"
    file.write_text(text)
    return loader.read_settings(file, overrides, environ)


def said(folder: Path, text: str, *overrides: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, text, *overrides, **environ)
    return str(caught.value).replace(str(folder / "w.ini"), "F").splitlines()


def test_the_smallest_useful_file(tmp_path: Path) -> None:
    settings = read(tmp_path, SMALLEST)
    assert settings.broker.url == f"sqla+sqlite:///{tmp_path}/var/media.db"
    assert settings.consumers == {
        "media": ConsumerSettings(name="media", queues=("media",), callback="workers.media:handle")
    }
    assert not settings.queues
    assert not settings.exchanges
    assert not settings.retries
    assert (settings.worker.processes, settings.worker.concurrency, settings.worker.path) == (1, 10, Path.cwd())
    assert settings.file == tmp_path / "w.ini"


def test_everything(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        SMALLEST.replace("callback", "retry = slow\noffload = yes\naccept = json, text\ntime_limit = 2m\ncallback")
        + """
[worker]
processes = 4
path = .
[exchange:media]
type = topic
arguments.alternate-exchange = lost
[queue:media]
exchange = media
routing_key = media.#
message_ttl = 1d
max_length_bytes = 64MiB
arguments.x-queue-type = quorum
arguments.x-delivery-limit = 3
[retry:slow]
backoff = 1s..1h
not_on = ValueError, workers.media.Unreadable
[logging]
format = json
""",
    )
    assert settings.worker.path == tmp_path
    assert settings.exchanges["media"].arguments == {"alternate-exchange": "lost"}
    assert settings.queues["media"].arguments == {"x-queue-type": "quorum", "x-delivery-limit": 3}
    assert settings.queues["media"].message_ttl == 86400
    assert settings.queues["media"].max_length_bytes == 64 << 20
    assert settings.retries["slow"].backoff == (1.0, 3600.0)
    assert settings.retries["slow"].not_on == ("ValueError", "workers.media.Unreadable")
    consumer = settings.consumers["media"]
    assert (consumer.retry, consumer.offload, consumer.accept, consumer.time_limit) == (
        "slow",
        True,
        ("json", "text"),
        120,
    )
    assert settings.logging.format == "json"


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    text = """\
[broker]
heartbeat = 30
poll = 1
[worker]
procesess = 3
[queue:a]
exchange = medai
routing_key =
[exchange:media]
[queue:b]
routing_key = x
[consumer:media]
queue =
retry = slwo
offload = maybe
[retry:slow]
[consumer: media]
[consumr:x]
[consumer]
[worker:x]
[monitor]
"""
    assert said(tmp_path, text, "consumer:media.concurrency=x") == [
        "F:1: [broker] url: is missing",
        "F:2: [broker] heartbeat: '30' is not a duration (a number with a unit): did you mean 30s?",
        "F:5: [worker] procesess: there is no such key; did you mean 'processes'?",
        "F:7: [queue:a] exchange: no [exchange:medai] describes it; did you mean 'media'?",
        "F:8: [queue:a] routing_key: has no value",
        "F:11: [queue:b] routing_key: needs an exchange: the nameless one knows a queue by its own name only",
        "F:12: [consumer:media] callback: is missing: give a callback here, or [worker] app = module:name",
        "F:13: [consumer:media] queue: has no value",
        "F:14: [consumer:media] retry: no [retry:slwo] describes it; did you mean 'slow'?",
        "F:15: [consumer:media] offload: 'maybe' is neither yes nor no",
        "F:17: [consumer:media]: there is such a section already",
        "F:18: [consumr:x]: there is no such section; did you mean 'consumer'?",
        "F:19: [consumer]: needs a name: [consumer:NAME]",
        "F:20: [worker:x]: there is one such section only: write [worker]",
        "F:21: [monitor]: there is no such section; known are"
        " broker, consumer, exchange, logging, queue, retry, worker",
        "--set consumer:media.concurrency: [consumer:media] concurrency: 'x' is not a whole number",
    ]


def test_syntax_comes_first(tmp_path: Path) -> None:
    assert said(tmp_path, "[worker]\nprocesses = x\nnonsense\n") == ["F:3: is neither [section] nor key = value"]


def test_a_file_without_a_consumer_is_a_problem(tmp_path: Path) -> None:
    assert said(tmp_path, "") == [
        "F: [broker] url: is missing: add [broker] with url = the broker's address",
        "F: nothing to do: add a [consumer:NAME] with queue and callback",
    ]


def test_an_app_and_callbacks_exclude_each_other(tmp_path: Path) -> None:
    assert said(tmp_path, SMALLEST + "[worker]\napp = workers.media:app\n") == [
        "F:5: [consumer:media] callback: [worker] app brings the callbacks already: leave out one of the two"
    ]
    text = "[broker]\nurl = memory\n[worker]\napp = workers.media:app\n"
    assert read(tmp_path, text).worker.app == "workers.media:app"
    assert read(tmp_path, text + "[consumer:media]\nqueue = media\n").consumers["media"].callback is None


def test_a_queue_has_one_consumer(tmp_path: Path) -> None:
    assert said(tmp_path, SMALLEST + "[consumer:more]\nqueue = other, media\ncallback = a:b\n") == [
        "F:7: [consumer:more] queue: [consumer:media] takes the messages of 'media' already"
    ]


def test_other_keys_of_the_broker_are_options_of_the_transport(tmp_path: Path) -> None:
    settings = read(tmp_path, SMALLEST.replace("url", "poll_interval = 1s\nurl"), "broker.wal=no")
    assert settings.broker.options == {"poll_interval": "1s", "wal": "no"}


def test_overrides_count_more_than_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    settings = read(
        tmp_path, SMALLEST, "consumer:media.concurrency=4", "broker.url=sqla+sqlite:///x.db", "queue:v.hd.durable=no"
    )
    assert settings.consumers["media"].concurrency == 4
    assert settings.broker.url == f"sqla+sqlite:///{tmp_path}/here/x.db"
    assert not settings.queues["v.hd"].durable


def test_where_each_value_came_from(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("amqp://u:p@h")
    settings = read(
        tmp_path,
        SMALLEST.replace("sqla+sqlite:///var/media.db", "file:secret").replace("= media\n", "= ${Q:media}\n"),
        "worker.processes=2",
        Q="q",
    )
    file = tmp_path / "w.ini"
    assert {key: str(origin) for key, origin in settings.origins.items() if key[1]} == {
        ("broker", "url"): f"{file}:2",
        ("consumer:media", "queue"): f"{file}:4, environment Q",
        ("consumer:media", "callback"): f"{file}:5",
        ("worker", "processes"): "--set worker.processes",
    }
    assert settings.origins["broker", "url"].secret
    problem = settings.problem("consumer:media", "retry", "is no good")
    assert str(problem) == f"{file}:3: [consumer:media] retry: is no good"


def test_no_secret_is_ever_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2")
    text = SMALLEST.replace("sqla+sqlite:///var/media.db", "amqp://u:hunter2@h:port/v")
    lines = said(tmp_path, text + "heartbeat = file:secret\nprefix = 1\n[worker]\nprocesses = file:secret\n")
    assert "hunter2" not in "".join(lines)
    assert "F:9: [worker] processes: what the file holds is no whole number, from 1 to 1024" in lines
    settings = read(
        tmp_path, SMALLEST.replace("sqla+sqlite:///var/media.db", "amqp://u:hunter2@h/v\npassword = hunter2")
    )
    assert "hunter2" not in repr(settings)
    assert settings.broker.url == "amqp://u:hunter2@h/v"


def test_a_missing_secret_names_key_and_path(tmp_path: Path) -> None:
    (line,) = said(tmp_path, SMALLEST.replace("sqla+sqlite:///var/media.db", "file:none"))
    assert line == f"F:2: [broker] url: there is no file {tmp_path}/none"


words = st.sampled_from(
    [
        *SINGLE,
        *NAMED,
        *("url", "queue", "callback", "arguments.x", "retry", "exchange", "path", "", ":", "a", "1s", "5", "-1", "~x/"),
        *(
            "yes",
            "file:x",
            "file:",
            "${X}",
            "${",
            "${HOME:}",
            "${X:1}",
            ",",
            ".",
            "a:b",
            "memory",
            "://",
            "\0",
            "é",
            "%",
        ),
    ]
)
lines = st.one_of(
    st.tuples(words, words).map(lambda pair: f"[{pair[0]}:{pair[1]}]"),
    words.map(lambda word: f"[{word}]"),
    st.tuples(words, words, words).map(lambda parts: f"{parts[0]} = {parts[1]}{parts[2]}"),
    words.map(lambda word: f"  {word}"),
)


@given(st.lists(lines, max_size=12), st.lists(st.tuples(words, words).map(lambda p: f"{p[0]}.{p[1]}=1"), max_size=2))
def test_any_file_is_read_or_refused(text: list[str], overrides: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(ConfigError):
        read(Path(folder), "\n".join(text), *overrides)


def test_the_state_folder_is_read_whatever_else_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "w.ini"
    file.write_text("[worker]\nstate = here\nprocessess = 2\n[broker]\nurl = ${MISSING}\n[what]\n")
    assert read_state_setting(file, environ={}).worker.state == tmp_path / "here"
    assert read_state_setting(file, ["worker.state=/elsewhere"], environ={}).worker.state == Path("/elsewhere")
    file.write_text("[broker]\nurl = x\n")
    assert read_state_setting(file).worker.state is None
    assert read_state_setting(file).file == file
    file.write_text("[worker]\nstate = w.ini\n")
    with pytest.raises(ConfigError, match="is no folder"):
        read_state_setting(file)
