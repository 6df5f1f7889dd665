"""From an ini file to the parts of a worker, with every mistake collected."""

from __future__ import annotations

from pathlib import Path

import pytest

from kombu_green.config.loader import read_settings
from kombu_green.config.problems import ConfigError
from kombu_green.worker.app import Worker
from kombu_green.worker.parts import parts

APPLICATION = """\
from kombu_green.worker.app import Worker

class Bad(Exception): pass

def handle(body, message): pass
def narrow(body): pass

app = Worker("memory://", concurrency=3)

@app.callback(queue="video", key="a.*")
def first(body, message): pass

twins = Worker("memory://")
twins.callback(queue="q", key="*.b")(handle)
twins.callback(queue="q", key="a.*")(first)

price = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    name = f"shop_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(APPLICATION)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SHOP", name)
    return tmp_path


def ini(folder: Path, text: str) -> Path:
    file = folder / "w.ini"
    file.write_text(text)
    return file


FULL = """\
[worker]
concurrency = 4
[broker]
url = memory://
[exchange:media]
type = topic
[queue:video]
exchange = media
routing_key = video.#
message_ttl = 2s
[consumer:one]
queue = video, audio
callback = ${SHOP}:handle
retry = short
time_limit = 3s
prefetch = 6
[retry:short]
attempts = 2
backoff = 1s..5s
jitter = no
not_on = ValueError, ${SHOP}:Bad
"""


def test_everything_that_is_described_is_built(folder: Path) -> None:
    found = parts(read_settings(ini(folder, FULL)))
    video, audio = found.specs
    assert video.queue.name == "video"
    assert video.queue.exchange is not None
    assert (video.queue.exchange.name, video.queue.exchange.type) == ("media", "topic")
    assert video.queue.routing_key == "video.#"
    assert video.queue.queue_arguments == {"x-message-ttl": 2000}
    assert (audio.queue.name, audio.queue.exchange) == ("audio", None)
    for spec in (video, audio):
        assert (spec.concurrency, spec.prefetch, spec.time_limit, spec.offload) == (4, 6, 3.0, False)
        assert (spec.policy.attempts, spec.policy.backoff.first, spec.policy.backoff.ceiling) == (2, 1.0, 5.0)
        assert [kind.__name__ for kind in spec.policy.not_on] == ["ValueError", "Bad"]
    assert [queue for queue, _ in found.callbacks] == ["video", "audio"]


def test_a_queue_that_is_described_is_declared_though_nobody_consumes_it(folder: Path) -> None:
    found = parts(read_settings(ini(folder, FULL + "[queue:graveyard]\nexchange = media\nrouting_key = dead.#\n")))
    assert [(queue.name, queue.routing_key) for queue in found.queues] == [("graveyard", "dead.#")]


def test_a_prefetch_that_leaves_slots_empty_is_told(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"prefetch = 3 leaves slots empty, of which there are 4"):
        parts(read_settings(ini(folder, FULL.replace("prefetch = 6", "prefetch = 3"))))


def test_acks_are_early_where_the_file_says_so(folder: Path) -> None:
    early = FULL.replace("prefetch = 6", "ack = early")
    assert [spec.early for spec in parts(read_settings(ini(folder, early))).specs] == [True, True]
    assert not parts(read_settings(ini(folder, FULL))).specs[0].early
    with pytest.raises(ConfigError, match=r"w\.ini:\d+: .*consumer:one.*ack = early .* leave prefetch out"):
        parts(read_settings(ini(folder, FULL.replace("prefetch = 6", "prefetch = 6\nack = early"))))


def test_all_mistakes_are_told_together(folder: Path) -> None:
    text = (
        FULL.replace("SHOP}:handle", "SHOP}:narrow").replace("ValueError", "ValueEror").replace("memory:", "memmory:")
    )
    with pytest.raises(ConfigError) as caught:
        parts(read_settings(ini(folder, text)))
    told = str(caught.value)
    for words in ("(body, message)", "ValueEror", "did you mean 'memory'"):
        assert words in told
    assert all(f"w.ini:{problem.where.rpartition(':')[2]}" in str(problem) for problem in caught.value.problems)


def test_an_app_made_in_code(folder: Path) -> None:
    worker = Worker.from_settings(
        read_settings(ini(folder, "[worker]\napp = ${SHOP}:app\n[broker]\nurl = memory://else\n"))
    )
    assert worker.specs["video"].concurrency == 3
    assert worker.connection.hostname == "else"  # the file has the last word


def test_the_file_has_the_last_word_on_a_consumer_of_an_app(folder: Path) -> None:
    text = "[worker]\napp = ${SHOP}:app\n[broker]\nurl = memory://\n[consumer:x]\nqueue = video\nconcurrency = 7\n"
    worker = Worker.from_settings(read_settings(ini(folder, text)))
    assert worker.specs["video"].concurrency == 7
    assert worker.registry.match("video", "a.b", None, None) is not None


@pytest.mark.parametrize(("app", "words"), [("price", "not a kombu_green Worker"), ("nothing", "has no 'nothing'")])
def test_an_app_that_is_none(folder: Path, app: str, words: str) -> None:
    text = f"[worker]\napp = ${{SHOP}}:{app}\n[broker]\nurl = memory://\n[consumer:x]\nqueue = video\n"
    with pytest.raises(ConfigError, match=words):
        Worker.from_settings(read_settings(ini(folder, text)))


def test_a_tie_is_told_with_both_callbacks(folder: Path) -> None:
    text = "[worker]\napp = ${SHOP}:twins\n[broker]\nurl = memory://\n[consumer:x]\nqueue = q\n"
    with pytest.raises(ConfigError) as caught:
        Worker.from_settings(read_settings(ini(folder, text)))
    assert "handle" in str(caught.value)
    assert "first" in str(caught.value)


def test_a_queue_without_callback_is_told() -> None:
    worker = Worker("memory://")
    assert worker.problems() == ["there is no queue to consume from"]
    worker.consume("q")
    (problem,) = worker.problems()
    assert "'q'" in problem
