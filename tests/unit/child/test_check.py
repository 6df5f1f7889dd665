"""What ``--check`` prints: every setting, readable again, with its origin and without a secret."""

from __future__ import annotations

from pathlib import Path

from kombu_green.child.check import effective_settings
from kombu_green.config.loader import read_settings
from kombu_green.config.settings import Settings

INI = """\
[broker]
url = amqp://user:hunter2@host/v
login_password = hunter2
poll = 5
lease = file:lease
[worker]
path = .
processes = ${N:3}
[exchange:e]
type = topic
[queue:q]
exchange = e
arguments.x-queue-type = quorum
arguments.x-version = "5"
max_length_bytes = 65536
[consumer:c]
queue = q, r
callback = a:b
retry = slow
time_limit = 1.5s
[retry:slow]
backoff = 1s..1h
"""


def settings(folder: Path) -> Settings:
    (folder / "lease").write_text("7s")
    (folder / "w.ini").write_text(INI)
    return read_settings(folder / "w.ini", ["consumer:c.offload=yes"], {"N": "4"})


def test_every_value_and_where_it_came_from(tmp_path: Path) -> None:
    shown = {(line.section, line.key): (line.value, line.origin) for line in effective_settings(settings(tmp_path))}
    file = tmp_path / "w.ini"
    assert shown["broker", "url"] == ("amqp://user:**@host/v", f"{file}:2")
    assert shown["broker", "login_password"] == ("**", f"{file}:3")
    assert shown["broker", "poll"] == ("5", f"{file}:4")
    assert shown["broker", "lease"] == ("**", f"{file}:5")
    assert shown["broker", "heartbeat"] == ("10s", "default")
    assert shown["worker", "path"] == (str(tmp_path), f"{file}:7")
    assert shown["worker", "processes"] == ("4", f"{file}:8, environment N")
    assert shown["queue:q", "arguments.x-queue-type"] == ("quorum", f"{file}:13")
    assert shown["queue:q", "arguments.x-version"] == ('"5"', f"{file}:14")
    assert shown["queue:q", "max_length_bytes"] == ("64KiB", f"{file}:15")
    assert shown["consumer:c", "queue"] == ("q, r", f"{file}:17")
    assert (
        shown["consumer:c", "time_limit"] == ("1500ms", f"{file}:20") or shown["consumer:c", "time_limit"][0] == "1.5s"
    )
    assert shown["consumer:c", "offload"] == ("yes", "--set consumer:c.offload")
    assert shown["retry:slow", "backoff"] == ("1s..1h", f"{file}:22")
    assert shown["worker", "app"] == (None, "default")
    assert not any("hunter2" in str(value) for value, _ in shown.values())


def test_what_is_shown_reads_back(tmp_path: Path) -> None:
    before = settings(tmp_path)
    lines, section = [], None
    for shown in effective_settings(before):
        if shown.section != section:
            section = shown.section
            lines.append(f"[{section}]")
        if shown.value is not None:
            lines.append(f"{shown.key} = {'7s' if shown.key == 'lease' else shown.value}")
    (tmp_path / "w.ini").write_text("\n".join(lines).replace("**", "hunter2"))
    assert read_settings(tmp_path / "w.ini") == before
