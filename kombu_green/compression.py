"""Compressing bodies, by the content type in the header ``compression``.

What comes off the wire is not trusted: a few kilobytes can unpack to gigabytes, so unpacking stops at a limit *before*
the memory is taken, and what is cut short or followed by something else is an error.

``application/x-gzip`` is kombu's name for the zlib format (RFC 1950).  True gzip (RFC 1952) is understood as well, since
other producers take the name at its word.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from kombu_green.exceptions import DecodeError, EncodeError

__all__ = ["MAX_SIZE", "compress", "decompress", "encoders", "get_decoder", "get_encoder", "register"]

MAX_SIZE = 128 * 1024 * 1024
"""Bytes that one body may have when unpacked."""

_PIECE = 1024 * 1024  # unpacked at a time, so that a bomb is noticed while only pieces of it exist
_LZMA_MEMORY = 256 * 1024 * 1024  # the dictionary that a header may ask for; xz -9 needs 65 MiB

Encoder = Callable[[bytes], bytes]
Decoder = Callable[..., bytes]


class _Method(NamedTuple):
    content_type: str
    encoder: Encoder
    decoder: Decoder
    capped: bool


_methods: dict[str, _Method] = {}  # by content type and by every alias


def register(
    encoder: Encoder, decoder: Decoder, content_type: str, aliases: Iterable[str] = (), *, capped: bool = False
) -> None:
    """Add a method under its content type (which goes into the header) and *aliases*.

    Both take bytes and return bytes.  A decoder that is ``capped`` is called with the limit as its second argument and
    raises :exc:`~kombu_green.exceptions.DecodeError` by itself; the result of any other is measured when it is there.
    """
    method = _Method(content_type, encoder, decoder, capped)
    for name in (content_type, *aliases):
        _methods[name] = method


def encoders() -> list[str]:
    """The content types of all methods."""
    return list(dict.fromkeys(method.content_type for method in _methods.values()))


def get_encoder(method: str) -> tuple[Encoder, str]:
    """The encoder and its content type, by content type or alias; :exc:`~kombu_green.exceptions.EncodeError` if unknown."""
    found = _methods.get(method)
    if found is None:
        raise EncodeError(_unknown(method))
    return found.encoder, found.content_type


def get_decoder(method: str) -> Decoder:
    """The decoder, by content type or alias; :exc:`~kombu_green.exceptions.DecodeError` if unknown."""
    return _find_decoder(method).decoder


def compress(body: bytes, method: str) -> tuple[bytes, str]:
    """The compressed body, and the content type for the header ``compression``."""
    encoder, content_type = get_encoder(method)
    try:
        return encoder(body), content_type
    except Exception as error:
        raise EncodeError(f"{content_type}: {type(error).__name__}: {error}") from error


def decompress(body: bytes, method: str, max_size: int = MAX_SIZE) -> bytes:
    """The body as it was before it was compressed.

    Raises :exc:`~kombu_green.exceptions.DecodeError` when the method is unknown, the data is damaged, cut short or followed
    by something else, or when it would unpack to more than *max_size* bytes.
    """
    found = _find_decoder(method)
    try:
        unpacked = found.decoder(body, max_size) if found.capped else found.decoder(body)
    except DecodeError as error:
        raise DecodeError(f"{found.content_type}: {error}") from error.__cause__
    except Exception as error:
        raise DecodeError(f"{found.content_type}: {type(error).__name__}: {error}") from error
    if len(unpacked) > max_size:
        raise DecodeError(f"{found.content_type}: {_too_large(max_size)}")
    return unpacked


def _find_decoder(method: str) -> _Method:
    found = _methods.get(method) if isinstance(method, str) else None  # a header may be anything
    if found is None:
        raise DecodeError(_unknown(method))
    return found


def _unknown(method: object) -> str:
    return f"unknown compression {method!r}: known are {', '.join(_methods)}"


def _too_large(max_size: int) -> str:
    return f"more than {max_size} bytes when unpacked, which is the limit"


def _unzip(body: bytes, max_size: int = MAX_SIZE) -> bytes:
    machine = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # | 32: zlib or gzip, by the first bytes
    return _unpack(machine, lambda: machine.unconsumed_tail, body, max_size)


def _unbzip(body: bytes, max_size: int = MAX_SIZE) -> bytes:
    return _unpack(bz2.BZ2Decompressor(), bytes, body, max_size)


def _unlzma(body: bytes, max_size: int = MAX_SIZE) -> bytes:
    return _unpack(lzma.LZMADecompressor(memlimit=_LZMA_MEMORY), bytes, body, max_size)


def _unpack(machine: Any, rest: Callable[[], bytes], body: bytes, max_size: int) -> bytes:
    """Drive a decompressor piece by piece; *rest* gives what must be fed again (zlib hands it back, the others keep it)."""
    pieces: list[bytes] = []
    size = 0
    while not machine.eof:
        piece = machine.decompress(body, min(_PIECE, max_size + 1 - size))
        body = rest()
        if not piece and not body and not machine.eof:
            raise DecodeError(f"cut short after {size} bytes unpacked")
        size += len(piece)
        if size > max_size:
            raise DecodeError(_too_large(max_size))
        pieces.append(piece)
    if machine.unused_data:
        raise DecodeError(f"{len(machine.unused_data)} bytes follow the end of the compressed data")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


register(zlib.compress, _unzip, "application/x-gzip", ("gzip", "zlib"), capped=True)
register(bz2.compress, _unbzip, "application/x-bz2", ("bzip2", "bzip"), capped=True)
register(lzma.compress, _unlzma, "application/x-lzma", ("lzma", "xz"), capped=True)
