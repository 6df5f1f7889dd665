"""The parts of the demo that need no broker."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest
from rich.console import Console

from workers.demo.files import fresh_folder, media_files
from workers.demo.outcome import Tally, printable, table

FILES = {"1": Path("/a/one.jpg"), "2": Path("/a/two.mp4"), "3": Path("/a/three\n[red]\x1b[31m.png")}
FOUND = {"type": "image/jpeg", "width": 4, "height": 3, "thumbnail": "/state/t/1.webp"}


def shown(tally: Tally) -> str:
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115 the console's own
    with console.file:
        console.print(table(tally, Path("/state")))
        return console.export_text()


def test_nothing_came_back() -> None:
    tally = Tally(FILES)
    assert str(tally) == "processed=0 dead_lettered=0 lost=3"
    assert shown(tally).count("nothing came back") == 3


def test_all_came_back() -> None:
    tally = Tally(FILES)
    tally.processed("1", FOUND)
    tally.processed("2", FOUND | {"type": "video/mp4", "seconds": 2.96})
    tally.dead_lettered("3", "it is\nbroken")
    assert str(tally) == "processed=2 dead_lettered=1 lost=0"
    text = shown(tally)
    assert re.search(r"one\.jpg +│ image/jpeg +│ 4 x 3 +│ t/1\.webp", text)
    assert re.search(r"two\.mp4 +│ video/mp4 +│ 4 x 3, 3\.0 s", text)
    assert r"three\n[red]\x1b[31m.png" in text
    assert r"it is\nbroken" in text


def test_twice_counts_once() -> None:
    tally = Tally(FILES)
    for _ in range(2):
        tally.processed("1", FOUND)
        tally.dead_lettered("2", "no")
    assert str(tally) == "processed=1 dead_lettered=1 lost=1"


def test_a_result_counts_more_than_a_dead_letter() -> None:
    tally = Tally(FILES)
    tally.processed("1", FOUND)
    tally.dead_lettered("1", "no")
    tally.dead_lettered("2", "no")
    tally.processed("2", FOUND)
    assert str(tally) == "processed=2 dead_lettered=0 lost=1"


def test_somebody_elses_does_not_count() -> None:
    tally = Tally(FILES)
    tally.processed("4", FOUND)
    tally.dead_lettered("5", "no")
    assert str(tally) == "processed=0 dead_lettered=0 lost=3"


@pytest.mark.parametrize("text", ["a b", "zwölf 雪", "[red]"])
def test_printable_stays(text: str) -> None:
    assert printable(text) == text


def test_printable_can_be_printed() -> None:
    assert printable("a\udcffb\r\n\x1b\u202e") == r"a\udcffb\r\n\x1b\u202e"


def test_media_files(tmp_path: Path) -> None:
    for name in ["b.JPG", "a.png", "notes.txt", ".hidden.gif", "ü.webm", "jpg", ".jpg"]:
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "folder.jpg" / "inside.jpg").touch()
    (tmp_path / "dangling.gif").symlink_to("nowhere")
    assert [path.name for path in media_files(tmp_path)] == [".hidden.gif", "a.png", "b.JPG", "dangling.gif", "ü.webm"]


def test_media_files_have_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").touch()
    monkeypatch.chdir(tmp_path)
    assert media_files(Path()) == [tmp_path / "a.png"]


def test_fresh_folders_are_never_shared(tmp_path: Path) -> None:
    made: list[Path] = []
    threads = [threading.Thread(target=lambda: made.append(fresh_folder(tmp_path / "var"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8
    assert all(path.is_dir() for path in made)
