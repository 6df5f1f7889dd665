"""``conf/supervisord.conf`` as shipped, with a real supervisord and real workers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.support.fleet import APPLICATIONS, SQLiteFleet, wait_for_more
from tests.support.launcher import alive, until
from tests.support.supervisord import CONF, Supervised, programs

INI = """\
[worker]
path = {applications}
processes = 2
[broker]
url = {url}
lease = 2s
[consumer:jobs]
queue = {queue}
callback = journal:{callback}
[logging]
format = json
"""

LONGEST = 0.4  # seconds that a callback takes at most


class Site:
    """A queue, the journal of handled messages, and a supervisord that is not started yet."""

    def __init__(self, folder: Path) -> None:
        self.fleet = SQLiteFleet(folder)
        environ = {"JOURNAL": str(self.fleet.journal), "LONGEST": str(LONGEST)}
        self.supervised = Supervised(folder, environ)
        self.supervised.write("media.ini", self.ini())

    def ini(self, callback: str = "handle", state: Path | None = None) -> str:
        fleet = self.fleet
        text = INI.format(applications=APPLICATIONS, url=fleet.url, queue=fleet.queue, callback=callback)
        return text if state is None else text.replace("[worker]", f"[worker]\nstate = {state}")

    def all_handled(self, messages: int) -> None:
        """Wait for it; each was begun once, and nothing is left."""
        until(lambda: len(self.fleet.handled()) == messages, "all messages handled")
        assert not self.fleet.left()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_stop_loses_no_message_and_handles_none_twice(site: Site) -> None:
    site.fleet.publish(range(300))
    with site.supervised as supervised:
        wait_for_more(site.fleet, 60)
        began = time.monotonic()
        assert supervised.ctl("stop", "media") == "media: stopped\n"
        assert time.monotonic() - began < int(section()["stopwaitsecs"])
        assert supervised.left() == []
        assert supervised.wait_for("ended")["code"] == 0
        assert site.fleet.left() == set(range(300)) - set(site.fleet.handled())
        assert site.fleet.begun() == len(site.fleet.handled()) < 300
        assert "STOPPED" in supervised.ctl("status", "media")
        supervised.ctl("reload")  # a supervisord that starts anew starts all that it knows
        site.all_handled(300)
        assert site.fleet.begun() == 300
        supervised.signal(signal.SIGTERM)
        assert supervised.exit_code() == 0
        assert supervised.left() == []


def test_signal_hup_starts_a_rolling_restart(site: Site, tmp_path: Path) -> None:
    with site.supervised as supervised:
        supervised.wait_for("ready", 2)
        launcher, old = supervised.launcher(), supervised.children()
        site.supervised.write("media.ini", site.ini(callback="stumble", state=tmp_path / "elsewhere"))
        assert supervised.ctl("signal", "HUP", "media") == "media: signalled\n"
        supervised.wait_for("renewed")
        assert supervised.wait_for("kept")["wanted"] == str(tmp_path / "elsewhere")
        until(lambda: not any(map(alive, old)), "the old processes end")
        assert supervised.launcher() == launcher
        assert supervised.left() == sorted([launcher, *supervised.children()[2:]])
        site.fleet.publish(range(2))  # the new callback fails at the first of each twenty, once
        until(lambda: site.fleet.begun(0) == 2, "the new callback is called")


def test_a_launcher_that_is_killed_is_started_again(site: Site) -> None:
    site.fleet.publish(range(120))
    with site.supervised as supervised:
        supervised.wait_for("ready", 2)
        wait_for_more(site.fleet, 40)
        killed, old = supervised.launcher(), supervised.children()
        os.kill(killed, signal.SIGKILL)
        supervised.wait_for("ready", 4)
        assert supervised.launcher() != killed
        until(lambda: not any(map(alive, old)), "what it left behind is gone", patience=5)
        site.all_handled(120)


def test_workers_drain_when_supervisord_is_killed(site: Site) -> None:
    site.fleet.publish(range(300))
    with site.supervised as supervised:
        supervised.wait_for("ready", 2)
        wait_for_more(site.fleet, 60)
        supervised.signal(signal.SIGKILL)
        until(lambda: not supervised.left(), "the launcher and its processes end")
        assert site.fleet.left() == set(range(300)) - set(site.fleet.handled())
        assert site.fleet.begun() == len(site.fleet.handled()) < 300


def broken(folder: Path) -> str:
    return "[broker]\nurl = memory\n[consumer:a]\nqueue = a\n"


def unbootable(folder: Path) -> str:
    (folder / "late.py").write_text("import time\ntime.sleep(3.5)\n")
    return (
        f"[worker]\npath = {folder}\n[broker]\nurl = memory\n[consumer:a]\nqueue = a\ncallback = late:handle\n"
        "[logging]\nformat = json\n"
    )


def test_a_worker_that_cannot_boot_is_not_restarted_for_ever(site: Site, tmp_path: Path) -> None:
    """Most mistakes are found before ``startsecs``; after that the exit code decides."""
    kinds: dict[str, Callable[[Path], str]] = {"broken": broken, "unbootable": unbootable}
    for name, text in kinds.items():
        site.supervised.write(f"{name}.ini", text(tmp_path))
    # "broken" has so many seconds to end in that a busy machine does not make it a program that ran.
    broken_program = programs("broken", startsecs=25, startretries=1).partition("[program:broken]")
    conf = programs("unbootable", startsecs=3, startretries=1) + "\n" + "".join(broken_program[1:])
    site.supervised.write(CONF.name, conf)
    with site.supervised as supervised:

        def status(name: str) -> str:
            return supervised.ctl("status", name).split()[1]

        supervised.wait_for("ended", program="unbootable")
        until(lambda: status("broken") == "FATAL", "it is given up")
        until(lambda: status("unbootable") == "EXITED", "it is left alone")
        assert supervised.log("broken").count("callback: is missing") == 2
        assert len(supervised.said("ended", "unbootable")) == 1
        assert supervised.said("ended", "unbootable")[0]["code"] == 78
        assert supervised.ctl("start", "broken") == "broken: ERROR (spawn error)\n"
        until(lambda: status("media") == "RUNNING", "what is right runs")


def section() -> dict[str, str]:
    parsed = ConfigParser(interpolation=None)
    parsed.read(CONF)
    return dict(parsed["program:media"])
