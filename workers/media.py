"""The example application: reads the metadata of a media file and makes a thumbnail.

The message body is ``{"path": "…/file", "thumbnails": "folder"}``.  The reply goes to the queue that the message names
in ``reply_to``: path, sha256, bytes, type, width and height in pixels, seconds for a video, and the thumbnail's path.

Files are not trusted.  The type is determined by the first bytes, and only the decoder for that type reads the file.
Images with too many pixels are refused before they are decoded.  Of a video only one frame is decoded.

Run it with ``kombu-worker -c conf/media.ini``.  ``offload = yes`` there calls the callback in a native thread, because
decoding would block all other greenlets of the process.  Both libraries release the interpreter lock while they decode.
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

# Both libraries import some of their modules at the first file.  Import locks are gevent's here, which lose wake-ups
# between threads, so two threads that import at the same time may hang.  So import now: these, and av.subtitles above.
Image.init()

MAX_PIXELS = 64_000_000  # 256 MB when decoded
MAX_PACKETS = 1_000  # of a video, within which a key frame has to be found
THUMBNAIL = (256, 256)


class Unreadable(Exception):
    """The file cannot be read, and a retry would not help: ``not_on`` in ``conf/media.ini`` names this class."""


def handle(body: Any, message: Message) -> Ack:
    """The callback: handle one file.  Raises Unreadable; after any other error a retry may help."""
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
    """The paths of the file and of the folder for thumbnails in a message body."""
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
    """Open a regular file.  Without O_NONBLOCK, opening a named pipe would wait for a writer."""
    try:
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115 handed on
    except ValueError as error:  # a NUL in the name
        raise Unreadable(str(error)) from error
    except OSError as error:
        if error.errno in PERMANENT_ERRNOS:
            raise Unreadable(str(error.strerror)) from error
        raise  # a temporary error: too many open files, an unreachable network drive
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise Unreadable("Not a regular file")
    return file


class Kind(NamedTuple):
    """A media type: a regular expression for the first bytes, the MIME type, Pillow's format or FFmpeg's demuxer."""

    start: bytes
    type: str
    decoder: str


HEAD = 64  # number of bytes that determine the type
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
    """The kind of a file, by its first bytes and not by its name."""
    if not head:
        raise Unreadable("the file is empty")
    for kind in KINDS:
        if re.match(kind.start, head, re.DOTALL):
            return kind
    raise Unreadable("neither a picture nor a video, by its content")


def decode(file: BufferedReader, kind: Kind) -> tuple[Image.Image, dict[str, Any]]:
    """The picture for the thumbnail, and width, height and seconds by name."""
    reader = read_video if kind.type.startswith("video/") else read_image
    try:
        return reader(file, kind.decoder)
    except (Unreadable, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise Unreadable(f"{kind.type}: the header is broken") from error
    except Exception as error:  # decoders raise all kinds of exceptions for a broken file
        raise Unreadable(f"{kind.type}: {getattr(error, 'strerror', None) or error}") from error


def read_image(file: BufferedReader, decoder: str) -> tuple[Image.Image, dict[str, Any]]:
    with Image.open(file, formats=[decoder]) as image:  # reads the header only
        check_pixels(*image.size)
        turned = image.getexif().get(ORIENTATION) in SIDEWAYS
        width, height = reversed(image.size) if turned else image.size
        image.draft("RGB", (2 * THUMBNAIL[0], 2 * THUMBNAIL[1]))  # decode a JPEG at reduced size
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
    """Write a thumbnail atomically: if the process is killed, *path* is either complete or does not exist."""
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
