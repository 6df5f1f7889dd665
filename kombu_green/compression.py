"""Compressing bodies; a message's header ``compression`` holds the method's content type.

What comes off the wire is not trusted: a few kilobytes can unpack to gigabytes.  So unpacking stops at a limit *before*
the memory is taken, and what is cut short, or followed by something else, is an error.

``application/x-gzip`` is kombu's name for the zlib format (RFC 1950).  True gzip (RFC 1952) is read as well, since
other producers take the name at its word.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from kombu_green.exceptions import DecodeError, EncodeError

__all__ = ["MAX_SIZE", "compress", "decompress", "encoders", "get_decoder", "get_encoder", "register"]

MAX_SIZE = 16 * 1024 * 1024
"""Bytes that one body may have when unpacked, unless its consumer says otherwise.

Decoding takes many times that much: 16 MiB of JSON can become 500 MiB of Python objects.
"""

_PIECE_MIN, _PIECE_MAX = 256 * 1024, 16 * 1024 * 1024  # bytes unpacked at a time
_LZMA_MEMORY = 256 * 1024 * 1024  # for the dictionary, whose size the sender chooses; xz -9 needs 65 MiB

Encoder = Callable[[bytes], bytes]
Decoder = Callable[..., bytes]


class _Method(NamedTuple):
    content_type: str
    encoder: Encoder
    decoder: Decoder
    capped: bool


_methods: dict[str, _Method] = {}  # by content type, and by every alias


def register(
    encoder: Encoder, decoder: Decoder, content_type: str, aliases: Iterable[str] = (), *, capped: bool = False
) -> None:
    """Add a method, or replace it: *content_type* is what goes into the header, *aliases* are names for it.

    Both functions take bytes and return bytes.  A decoder that is ``capped`` gets the limit in bytes as its second
    argument and raises :exc:`~kombu_green.exceptions.DecodeError` in time; what any other returns is measured
    afterwards.
    """
    method = _Method(content_type, encoder, decoder, capped)
    for name in (content_type, *aliases):
        _methods[name] = method


def encoders() -> list[str]:
    """The content types of all methods."""
    return list(dict.fromkeys(method.content_type for method in _methods.values()))


def get_encoder(method: str) -> tuple[Encoder, str]:
    """The encoder and the content type of a method, by content type or alias.

    Raises :exc:`~kombu_green.exceptions.EncodeError`, naming those that exist.
    """
    found = _methods.get(method)
    if found is None:
        raise EncodeError(_unknown(method))
    return found.encoder, found.content_type


def get_decoder(method: str) -> Decoder:
    """The decoder of a method, by content type or alias.

    Raises :exc:`~kombu_green.exceptions.DecodeError`, naming those that exist.
    """
    return _known(method).decoder


def compress(body: bytes, method: str) -> tuple[bytes, str]:
    """The compressed body, and the content type for the header.

    Raises :exc:`~kombu_green.exceptions.EncodeError` for an unknown method, or when the method fails.
    """
    encoder, content_type = get_encoder(method)
    try:
        return encoder(body), content_type
    except Exception as error:  # a method that somebody registered may raise anything
        raise EncodeError(f"{content_type}: {type(error).__name__}: {error}") from error


def decompress(body: bytes, method: str, max_size: int = MAX_SIZE) -> bytes:
    """The body as it was before it was compressed, of *max_size* bytes at most.

    Raises :exc:`~kombu_green.exceptions.DecodeError` when the method is unknown, and when the body is damaged, cut
    short, followed by something else, or too large.
    """
    found = _known(method)
    try:
        unpacked = found.decoder(body, max_size) if found.capped else found.decoder(body)
    except DecodeError as error:
        raise DecodeError(f"{found.content_type}: {error}") from error
    except Exception as error:
        raise DecodeError(f"{found.content_type}: {type(error).__name__}: {error}") from error
    if len(unpacked) > max_size:
        raise DecodeError(f"{found.content_type}: {_too_large(max_size)}")
    return unpacked


def _known(method: object) -> _Method:
    found = _methods.get(method) if isinstance(method, str) else None  # a header can hold anything
    if found is None:
        raise DecodeError(_unknown(method))
    return found


def _unknown(method: object) -> str:
    return f"unknown compression {method!r}: known are {', '.join(_methods)}"


def _too_large(max_size: int) -> str:
    return f"more than {max_size} bytes when unpacked, which is the limit"


class _Decompressor(Protocol):
    """What bz2's and lzma's objects have in common; they keep what they have not unpacked yet."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflater:
    """zlib's, which gives back what it has not unpacked yet, made to keep it."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # | 32: zlib or gzip, by the first bytes

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(data or self._zlib.unconsumed_tail, max_length)


def _inflate(body: bytes, max_size: int = MAX_SIZE) -> bytes:
    return _unpack(_Inflater(), body, max_size)


def _unbzip(body: bytes, max_size: int = MAX_SIZE) -> bytes:
    return _unpack(bz2.BZ2Decompressor(), body, max_size)


def _unxz(body: bytes, max_size: int = MAX_SIZE) -> bytes:
    return _unpack(lzma.LZMADecompressor(memlimit=_LZMA_MEMORY), body, max_size)


def _unpack(machine: _Decompressor, body: bytes, max_size: int) -> bytes:
    # Most bodies shall be done in one step, and zlib copies the rest of the body in each, so a long body takes long
    # steps; but a decompressor joins a step's output, which doubles it for a moment.
    step = min(max(4 * len(body), _PIECE_MIN), _PIECE_MAX)
    pieces: list[bytes] = []
    size = 0
    while not machine.eof:
        piece = machine.decompress(body, min(step, max_size - size + 1))
        if not piece and not machine.eof:
            raise DecodeError(f"cut short, after {size} bytes")
        pieces.append(piece)
        size += len(piece)
        if size > max_size:
            raise DecodeError(_too_large(max_size))
        body = b""  # the machine has it
    if machine.unused_data:
        raise DecodeError(f"{len(machine.unused_data)} bytes follow its end")
    return b"".join(pieces)


register(zlib.compress, _inflate, "application/x-gzip", ("gzip", "zlib"), capped=True)
register(bz2.compress, _unbzip, "application/x-bz2", ("bzip2", "bzip"), capped=True)
register(lzma.compress, _unxz, "application/x-lzma", ("lzma", "xz"), capped=True)
