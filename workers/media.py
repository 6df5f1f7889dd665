"""A worker application: what is in a media file, and a small picture of it.

The job is ``{"path": "…/file", "thumbnails": "folder"}``.  The answer goes to the queue that the job names in
``reply_to``: path, sha256, bytes, type, width and height in pixels, seconds for a video, and where the thumbnail is.

Files come from strangers.  So the type is found out from the first bytes, and only the one decoder for that type gets
to see the rest; what would unpack to too many pixels is refused before it is unpacked; of a video one frame is decoded.

Run as ``kombu-worker -c conf/media.ini``; ``offload = yes`` there gives each call a thread, because decoding would keep
the process from everything else.  Both libraries let go of the interpreter lock while they decode.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import re
import stat
import uuid
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import av
import av.subtitles.stream
from PIL import Image, ImageOps, UnidentifiedImageError

from kombu_green.dispatch.outcome import Ack
from kombu_green.message import Message

# Both libraries import parts of themselves at the first file.  In two threads at once that may never end, as import
# locks are gevent's here and wake nobody in another thread; so it is done now.  (The other part is av.subtitles.)
Image.init()

MAX_PIXELS = 64_000_000  # 256 MB when unpacked
MAX_PACKETS = 1_000  # of a video, before its first key frame must have come
THUMBNAIL = (256, 256)


class Unreadable(Exception):
    """There is no way to read this file; trying again would not help (``not_on`` in ``conf/media.ini``)."""


def handle(body: Any, message: Message) -> Ack:
    """Look at one file.  Raises Unreadable; any other error is worth another attempt."""
    path, thumbnails = job(body)
    with open_file(path) as file:
        kind = identify(file.read(HEAD))
        file.seek(0)
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        picture, facts = decode(file, kind)
        size = os.fstat(file.fileno()).st_size
    thumbnail = thumbnails / f"{checksum[:24]}.webp"  # named by content: a second delivery writes the same file again
    save(picture, thumbnail)
    found = {"path": str(path), "sha256": checksum, "bytes": size, "type": kind.type, "thumbnail": str(thumbnail)}
    return Ack(reply=found | facts)


def job(body: Any) -> tuple[Path, Path]:
    """The file and the folder for thumbnails that the message names."""
    match body:
        case {"path": str(path), "thumbnails": str(thumbnails)}:
            return Path(path), Path(thumbnails)
    raise Unreadable('a job looks like {"path": "…/file", "thumbnails": "folder"}')


PERMANENT_ERRNOS = {
    errno.EACCES,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENXIO,  # a socket
    errno.EPERM,
}


def open_file(path: Path) -> BufferedReader:
    """Open a regular file; without O_NONBLOCK a named pipe would keep us waiting for its writer."""
    try:
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115 handed on
    except ValueError as error:  # a NUL in the name
        raise Unreadable(str(error)) from error
    except OSError as error:
        if error.errno in PERMANENT_ERRNOS:
            raise Unreadable(str(error.strerror)) from error
        raise  # too many open files, a network drive that is away: not for ever
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise Unreadable("Not a regular file")
    return file


class Kind(NamedTuple):
    """What a file starts with, and who may decode it: a format of Pillow's or a demuxer of FFmpeg's."""

    start: bytes
    type: str
    decoder: str


HEAD = 64  # bytes that decide
KINDS = (
    Kind(rb"\xff\xd8\xff", "image/jpeg", "JPEG"),
    Kind(rb"\x89PNG\r\n\x1a\n", "image/png", "PNG"),
    Kind(rb"GIF8[79]a", "image/gif", "GIF"),
    Kind(rb"RIFF....WEBP", "image/webp", "WEBP"),
    Kind(rb"BM", "image/bmp", "BMP"),
    Kind(rb"II\*\x00|MM\x00\*", "image/tiff", "TIFF"),
    Kind(rb"....ftypavi[fs]", "image/avif", "AVIF"),
    Kind(rb"....ftypqt  |....(moov|wide|mdat)", "video/quicktime", "mov"),
    Kind(rb"....ftyp(?!hei|hev|mif1|msf1|M4A)", "video/mp4", "mov"),
    Kind(rb"\x1a\x45\xdf\xa3.*webm", "video/webm", "matroska"),
    Kind(rb"\x1a\x45\xdf\xa3", "video/x-matroska", "matroska"),
    Kind(rb"RIFF....AVI ", "video/x-msvideo", "avi"),
    Kind(rb"\x00\x00\x01\xba", "video/mpeg", "mpeg"),
)


def identify(head: bytes) -> Kind:
    """The kind of a file by its first bytes; its name has no say."""
    if not head:
        raise Unreadable("the file is empty")
    for kind in KINDS:
        if re.match(kind.start, head, re.DOTALL):
            return kind
    raise Unreadable("neither a picture nor a video, by its content")


def decode(file: BufferedReader, kind: Kind) -> tuple[Image.Image, dict[str, Any]]:
    """A picture to make the thumbnail of, and the facts by name."""
    reader = read_video if kind.type.startswith("video/") else read_image
    try:
        return reader(file, kind.decoder)
    except (Unreadable, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise Unreadable(f"{kind.type}: the header is broken") from error
    except Exception as error:  # decoders raise whatever a broken file leads them to
        raise Unreadable(f"{kind.type}: {getattr(error, 'strerror', None) or error}") from error


def read_image(file: BufferedReader, decoder: str) -> tuple[Image.Image, dict[str, Any]]:
    with Image.open(file, formats=[decoder]) as image:  # reads the header only
        check_pixels(*image.size)
        turned = image.getexif().get(ORIENTATION) in SIDEWAYS
        width, height = reversed(image.size) if turned else image.size
        image.draft("RGB", (2 * THUMBNAIL[0], 2 * THUMBNAIL[1]))  # a JPEG can be unpacked at a fraction of its size
        picture = ImageOps.exif_transpose(image)
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    return picture, {"width": width, "height": height}


ORIENTATION = 0x0112  # the EXIF tag
SIDEWAYS = (5, 6, 7, 8)


def read_video(file: BufferedReader, decoder: str) -> tuple[Image.Image, dict[str, Any]]:
    limits = {"max_pixels": str(MAX_PIXELS), "threads": "1"}
    with av.open(file, "r", format=decoder, options=limits, metadata_errors="replace") as container:
        if not container.streams.video:
            raise Unreadable("there is no video in it")
        stream = container.streams.video[0]
        if stream.codec_context is None:  # contrary to its type
            raise Unreadable("nothing here decodes its kind of video")
        check_pixels(stream.codec_context.width, stream.codec_context.height)
        stream.codec_context.options = limits
        stream.codec_context.skip_frame = "NONKEY"
        packets = itertools.islice(container.demux(stream), MAX_PACKETS)
        frame = next((frame for packet in packets for frame in packet.decode()), None)
        if frame is None:
            raise Unreadable("no frame of the video can be decoded")
        picture = frame.to_image().rotate(frame.rotation, expand=True)  # type: ignore[no-untyped-call]  # untyped in PyAV
        seconds = container.duration / av.time_base if container.duration else None
    return picture, {"width": picture.width, "height": picture.height, "seconds": seconds}


def check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise Unreadable(f"{width} x {height} pixels are more than {MAX_PIXELS:,}")


def save(picture: Image.Image, path: Path) -> None:
    """Write a thumbnail: it is there as a whole or not at all, also when we are killed meanwhile."""
    picture.thumbnail(THUMBNAIL)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{uuid.uuid4().hex}.unfinished")
    try:
        with open(unfinished, "xb") as file:
            picture.save(file, format="WEBP")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
