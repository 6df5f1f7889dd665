"""The example application: real files, and files that somebody has made to hurt."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from kombu_green.message import Content, Message
from workers.media import KINDS, MAX_PIXELS, Unreadable, handle, identify

SAMPLES = Path(__file__).parents[2] / "workers" / "samples"


@pytest.fixture
def thumbnails(tmp_path: Path) -> Path:
    return tmp_path / "thumbnails"


def look_at(path: Path, thumbnails: Path) -> dict[str, Any]:
    verdict = handle({"path": str(path), "thumbnails": str(thumbnails)}, Message(Content(b"")))
    assert isinstance(verdict.reply, dict)
    return verdict.reply


@pytest.mark.parametrize(
    ("name", "type_", "size", "seconds"),
    [
        ("julia.jpg", "image/jpeg", (960, 640), None),
        ("portrait-on-its-side.jpeg", "image/jpeg", (480, 720), None),
        ("discs.png", "image/png", (640, 640), None),
        ("lissajous.gif", "image/gif", (240, 240), None),
        ("plasma.webp", "image/webp", (1024, 576), None),
        ("orbits.mp4", "video/mp4", (320, 240), 3.0),
    ],
)
def test_sample(name: str, type_: str, size: tuple[int, int], seconds: float | None, thumbnails: Path) -> None:
    path = SAMPLES / name
    found = look_at(path, thumbnails)
    assert found["path"] == str(path)
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["bytes"] == path.stat().st_size
    assert found["type"] == type_
    assert (found["width"], found["height"]) == size
    assert found.get("seconds") == seconds
    with Image.open(found["thumbnail"]) as thumbnail:
        thumbnail.load()
        assert max(thumbnail.size) == min(256, max(size))
        assert thumbnail.width / thumbnail.height == pytest.approx(size[0] / size[1], rel=0.02)
    assert [path.name for path in thumbnails.iterdir()] == [Path(found["thumbnail"]).name]  # nothing unfinished is left


def test_the_thumbnail_shows_the_picture(thumbnails: Path) -> None:
    with Image.open(look_at(SAMPLES / "discs.png", thumbnails)["thumbnail"]) as thumbnail:
        red, green, blue, alpha = thumbnail.convert("RGBA").getpixel((128, 30))  # type: ignore[misc]
        assert thumbnail.convert("RGBA").getpixel((3, 3))[3] == 0  # type: ignore[index]  # transparency is kept
    assert red > 150 > green
    assert red > blue
    assert alpha > 100


def test_a_turned_photograph_is_turned_upright(thumbnails: Path) -> None:
    with Image.open(look_at(SAMPLES / "portrait-on-its-side.jpeg", thumbnails)["thumbnail"]) as thumbnail:
        assert thumbnail.height > thumbnail.width


def test_a_turned_video_is_turned_upright(tmp_path: Path, thumbnails: Path) -> None:
    """As a telephone writes it that is held upright: the matrix of the track header says 90 degrees clockwise."""
    one = struct.pack(">i", 1 << 16)
    none, minus, last = struct.pack(">i", 0), struct.pack(">i", -1 << 16), struct.pack(">i", 1 << 30)
    as_it_is = one + none * 3 + one + none * 3 + last
    before, header, after = (SAMPLES / "orbits.mp4").read_bytes().partition(b"tkhd")
    assert after.count(as_it_is) == 1
    turned = none + one + none + minus + none * 4 + last
    path = tmp_path / "turned.mp4"
    path.write_bytes(before + header + after.replace(as_it_is, turned))

    found = look_at(path, thumbnails)
    assert (found["width"], found["height"]) == (240, 320)
    upright = look_at(SAMPLES / "orbits.mp4", thumbnails)
    with Image.open(upright["thumbnail"]) as expected, Image.open(found["thumbnail"]) as thumbnail:
        difference = ImageChops.difference(expected.transpose(Image.Transpose.ROTATE_270), thumbnail)
        assert sum(ImageStat.Stat(difference).mean) < 10


def test_a_second_delivery_gives_the_same(thumbnails: Path) -> None:
    first = look_at(SAMPLES / "julia.jpg", thumbnails)
    assert look_at(SAMPLES / "julia.jpg", thumbnails) == first
    assert len(list(thumbnails.iterdir())) == 1


@pytest.mark.parametrize("name", ["truncated.jpg", "not-a-picture.jpg", "no such file", "."])
def test_unreadable_sample(name: str, thumbnails: Path) -> None:
    with pytest.raises(Unreadable):
        look_at(SAMPLES / name, thumbnails)
    assert not thumbnails.exists()


@pytest.mark.parametrize(
    "name", ["with  spaces .jpg", "zwölf Boxkämpfer 雪.jpg", "two\nlines.jpg", "-rf", "%41.jpg", "x" * 255]
)
def test_any_name_will_do(name: str, tmp_path: Path, thumbnails: Path) -> None:
    path = tmp_path / name
    shutil.copy(SAMPLES / "julia.jpg", path)
    assert look_at(path, thumbnails)["path"] == str(path)


def test_the_name_has_no_say(tmp_path: Path, thumbnails: Path) -> None:
    path = tmp_path / "film.mp4"
    shutil.copy(SAMPLES / "plasma.webp", path)
    assert look_at(path, thumbnails)["type"] == "image/webp"


def test_a_link_is_followed(tmp_path: Path, thumbnails: Path) -> None:
    path = tmp_path / "link"
    path.symlink_to(SAMPLES / "julia.jpg")
    assert look_at(path, thumbnails)["type"] == "image/jpeg"
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(Unreadable):
        look_at(path, thumbnails)


def png(width: int, height: int) -> bytes:
    """A PNG that claims to be large and holds nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


HOSTILE = {
    "empty": (b"", "empty"),
    "pixels": (png(8001, 8000), "more than"),
    "more pixels": (png(12_000, 10_000), "pixels"),
    "most pixels": (png(2**31 - 1, 2**31 - 1), "pixels"),
    "no pixels": (png(0, 0), "image/png"),
    "png without pixels": (png(16, 16), "image/png"),
    "a gif's first bytes": (b"GIF89a", "image/gif"),
    "a film's first bytes": (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "video/mp4"),
    "a playlist": (b"#EXTM3U\nhttp://127.0.0.1:1/x.ts\n", "by its content"),
    "a concat script": (b"ffconcat version 1.0\nfile /etc/passwd\n", "by its content"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "by its content"),
    "zeros": (bytes(100_000), "by its content"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content(name: str, tmp_path: Path, thumbnails: Path) -> None:
    content, reason = HOSTILE[name]
    path = tmp_path / "file.png"
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=reason):
        look_at(path, thumbnails)


def test_a_zip_called_png(tmp_path: Path, thumbnails: Path) -> None:
    path = tmp_path / "archive.png"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(SAMPLES / "discs.png")
    with pytest.raises(Unreadable, match="by its content"):
        look_at(path, thumbnails)


def test_no_other_decoder_gets_to_see_it(tmp_path: Path, thumbnails: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def accept(prefix: bytes) -> bool:
        seen.append(prefix)
        return False

    monkeypatch.setattr(Image, "ID", [*Image.ID, "TRAP"])
    monkeypatch.setitem(Image.OPEN, "TRAP", (Image.open, accept))
    path = tmp_path / "broken.gif"
    path.write_bytes(b"GIF89a")
    with pytest.raises(Unreadable, match="the header is broken"):
        look_at(path, thumbnails)
    assert seen == []


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("name", ["julia.jpg", "discs.png", "plasma.webp", "orbits.mp4"])
def test_the_first_part_of_a_file(name: str, share: float, tmp_path: Path, thumbnails: Path) -> None:
    whole = (SAMPLES / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(Unreadable):
        look_at(path, thumbnails)


@pytest.mark.timeout(5)
def test_a_named_pipe_keeps_nobody_waiting(tmp_path: Path, thumbnails: Path) -> None:
    path = tmp_path / "pipe.jpg"
    os.mkfifo(path)
    with pytest.raises(Unreadable, match="regular"):
        look_at(path, thumbnails)


def test_no_permission(tmp_path: Path, thumbnails: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.touch(mode=0)
    with unprivileged(), pytest.raises(Unreadable, match="Permission"):
        look_at(path, thumbnails)


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Root may read everything: be nobody for a moment."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_socket(tmp_path: Path, thumbnails: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(tmp_path):  # a socket's path must be short
        server.bind("s.jpg")
        with pytest.raises(Unreadable):
            look_at(Path("s.jpg"), thumbnails)


@pytest.mark.parametrize(
    "body", [None, "", [], {}, {"path": "x"}, {"path": 3, "thumbnails": "x"}, {"path": "\0", "thumbnails": "x"}]
)
def test_a_job_that_is_none(body: Any) -> None:
    with pytest.raises(Unreadable):
        handle(body, Message(Content(b"")))


def test_no_place_for_thumbnails_is_not_the_files_fault(tmp_path: Path) -> None:
    (tmp_path / "in the way").touch()
    with pytest.raises(OSError, match="in the way"):
        look_at(SAMPLES / "julia.jpg", tmp_path / "in the way")


def test_a_full_disk_is_worth_another_attempt_and_leaves_nothing_behind(thumbnails: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            look_at(SAMPLES / "julia.jpg", thumbnails)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(thumbnails.iterdir()) == []


@pytest.mark.parametrize(
    "brand", [b"isom", b"iso2", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ", b"dash", b"3gp4"]
)
@pytest.mark.parametrize("length", [0x14, 0x18, 0x1C, 0x20, 0x24])
def test_mp4_by_any_brand(brand: bytes, length: int) -> None:
    head = length.to_bytes(4, "big") + b"ftyp" + brand + bytes(52)
    assert identify(head).type == "video/mp4"


@pytest.mark.parametrize(
    ("head", "type_"),
    [
        (b"\xff\xd8\xff\xe1\0\x18Exif", "image/jpeg"),
        (b"\xff\xd8\xff\xdb\0\x43", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"RIFF\0\0\1\0WEBPVP8X", "image/webp"),
        (b"RIFF\n\n\n\nAVI LIST", "video/x-msvideo"),
        (b"MM\0*", "image/tiff"),
        (b"\0\0\0\x14ftypqt  \0\0\2\0qt  ", "video/quicktime"),
        (b"\0\0\0\x08wide\0\0\1\0mdat", "video/quicktime"),
        (b"\0\0\0\x20ftypavif", "image/avif"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x86\x81\x01B\x82\x84webm", "video/webm"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x23B\x86\x81\x01B\x82\x88matroska", "video/x-matroska"),
    ],
)
def test_kinds(head: bytes, type_: str) -> None:
    assert identify(head).type == type_


@pytest.mark.parametrize(
    "head", [b"RIFF\0\0\1\0WAVEfmt ", b"\0\0\0\x18ftypheic", b"%PDF-1.7", b"PK\3\4", b"ID3\3", b"\xff\xd8"]
)
def test_not_ours(head: bytes) -> None:
    with pytest.raises(Unreadable, match="by its content"):
        identify(head)


def test_every_kind_has_a_decoder() -> None:
    from av import formats_available

    Image.init()
    for kind in KINDS:
        known = formats_available if kind.type.startswith("video/") else Image.OPEN
        assert any(kind.decoder in name.split(",") for name in known), kind
    assert MAX_PIXELS < Image.MAX_IMAGE_PIXELS  # type: ignore[operator]  # so that ours is the one that speaks


def test_nothing_is_imported_while_a_file_is_handled(thumbnails: Path) -> None:
    """Two threads that import one thing for the first time would hang under gevent's import locks."""
    program = """
import sys
from kombu_green.message import Content, Message
from workers.media import Unreadable, handle

before = set(sys.modules)
thumbnails, *files = sys.argv[1:]
for path in files:
    try:
        handle({"path": path, "thumbnails": thumbnails}, Message(Content(b"")))
    except Unreadable:
        pass
sys.exit(", ".join(sorted(set(sys.modules) - before)) or None)
"""
    files = [path for path in SAMPLES.iterdir() if path.suffix != ".rst"]
    command = [sys.executable, "-c", program, str(thumbnails), *map(str, files)]
    ended = subprocess.run(command, check=False, cwd=SAMPLES.parents[1], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(list(thumbnails.iterdir())) == 6
