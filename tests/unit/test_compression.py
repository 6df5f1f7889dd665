from __future__ import annotations

import bz2
import gzip
import lzma
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green import compression
from kombu_green.compression import MAX_SIZE, compress, decompress, encoders, get_decoder, get_encoder, register
from kombu_green.exceptions import DecodeError, EncodeError

MIB = 1024 * 1024
METHODS = ["application/x-gzip", "application/x-bz2", "application/x-lzma"]


@pytest.fixture
def methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten afterwards."""
    monkeypatch.setattr(compression, "_methods", compression._methods.copy())


def zeros(mebibytes: int) -> Iterator[bytes]:
    """So many MiB of zeros as a zlib stream, without the work: one deflated MiB again and again, and no end."""
    deflate = zlib.compressobj(9)
    yield deflate.compress(bytes(MIB)) + deflate.flush(zlib.Z_FULL_FLUSH)
    again = deflate.compress(bytes(MIB)) + deflate.flush(zlib.Z_FULL_FLUSH)
    for _ in range(mebibytes - 1):
        yield again


@pytest.mark.parametrize(
    ("names", "content_type", "peer"),
    [
        (("gzip", "zlib", "application/x-gzip"), "application/x-gzip", zlib.decompress),
        (("bzip2", "bzip", "application/x-bz2"), "application/x-bz2", bz2.decompress),
        (("lzma", "xz", "application/x-lzma"), "application/x-lzma", lzma.decompress),
    ],
)
def test_methods_and_their_aliases(names: tuple[str, ...], content_type: str, peer: Callable[[bytes], bytes]) -> None:
    body = b"to be or not to be, " * 50
    for name in names:
        packed, header = compress(body, name)
        assert header == content_type
        assert len(packed) < len(body) / 4
        assert peer(packed) == body
        assert [decompress(packed, alias) for alias in names] == [body] * 3
        assert get_decoder(name)(get_encoder(name)[0](body)) == body
    assert content_type in encoders()


def test_true_gzip_is_read_too() -> None:
    assert decompress(gzip.compress(b"body"), "application/x-gzip") == b"body"


@pytest.mark.parametrize("method", METHODS)
@given(body=st.binary(max_size=200))
def test_any_body_comes_back(method: str, body: bytes) -> None:
    assert decompress(*compress(body, method)) == body


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 512 * 1024, 700_001])
def test_bodies_of_several_steps(method: str, size: int) -> None:
    for body in (bytes(size), random.Random(size).randbytes(size)):
        assert decompress(*compress(body, method), max_size=size) == body


@pytest.mark.parametrize("method", METHODS)
def test_the_limit_is_exact(method: str) -> None:
    packed, _ = compress(bytes(1000), method)
    assert decompress(packed, method, 1000) == bytes(1000)
    with pytest.raises(DecodeError, match=f"{method}: more than 999 bytes when unpacked"):
        decompress(packed, method, 999)
    assert decompress(*compress(b"", method), max_size=0) == b""
    with pytest.raises(DecodeError, match="more than 0 bytes"):
        decompress(*compress(b"x", method), max_size=0)


def test_a_bomb_is_refused_before_its_memory_is_taken() -> None:
    bomb = b"".join(zeros(1024))
    assert len(bomb) < 2 * MIB
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match=f"more than {MAX_SIZE} bytes when unpacked, which is the limit"):
            decompress(bomb, "application/x-gzip")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * MIB, "the pieces, and the one that they are joined to"


@pytest.mark.parametrize("method", METHODS)
def test_a_small_limit_takes_little_memory(method: str) -> None:
    packed, _ = compress(bytes(32 * MIB), method)
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="more than 1048576 bytes"):
            decompress(packed, method, MIB)
        assert tracemalloc.get_traced_memory()[1] < 10 * MIB  # xz's dictionary is most of it
    finally:
        tracemalloc.stop()


def test_a_dictionary_as_large_as_the_sender_likes_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 4096}]
    packed = bytearray(lzma.compress(b"body", filters=filters))
    at = packed.index(b"\x21\x01")  # LZMA2's id, the length of its properties, and the size of the dictionary
    packed[at + 2] = 38  # 2 GiB
    header = packed[12 : 12 + (packed[12] + 1) * 4 - 4]
    packed[12 + len(header) : 12 + len(header) + 4] = zlib.crc32(header).to_bytes(4, "little")
    with pytest.raises(DecodeError, match="application/x-lzma: LZMAError: Memory usage limit exceeded"):
        decompress(bytes(packed), "xz")


@pytest.mark.parametrize("method", METHODS)
def test_damaged_bodies(method: str) -> None:
    body = random.Random(1).randbytes(1000)
    packed, _ = compress(body, method)
    for length in (0, 1, 10, len(packed) // 2, len(packed) - 1):
        with pytest.raises(DecodeError, match=f"{method}: "):
            decompress(packed[:length], method)
    with pytest.raises(DecodeError, match=f"{method}: cut short, after "):
        decompress(packed[:-1], method)
    with pytest.raises(DecodeError, match=f"{method}: 3 bytes follow its end"):
        decompress(packed + b"end", method)
    with pytest.raises(DecodeError, match=f"{method}: {len(packed)} bytes follow its end"):
        decompress(packed * 2, method)
    middle = len(packed) // 2
    with pytest.raises(DecodeError, match=method):
        decompress(packed[:middle] + bytes([packed[middle] ^ 255]) + packed[middle + 1 :], method)
    with pytest.raises(DecodeError, match=f"{method}: .*"):
        decompress(b"not compressed at all", method)


@pytest.mark.parametrize("method", ["application/x-brotli", "GZIP", "", None, 7, ["gzip"], b"gzip"])
def test_unknown_methods_are_named_with_those_that_exist(method: str) -> None:
    with pytest.raises(DecodeError, match=r"unknown compression .*: known are application/x-gzip, gzip, zlib, "):
        decompress(b"", method)
    with pytest.raises(DecodeError, match="unknown compression"):
        get_decoder(method)


def test_unknown_methods_are_not_written() -> None:
    for refuse in (lambda: compress(b"", "rar"), lambda: get_encoder("rar")):
        with pytest.raises(EncodeError, match="unknown compression 'rar': known are application/x-gzip"):
            refuse()


def test_a_registered_method(methods: None) -> None:
    register(lambda body: body[::-1], lambda body: body[::-1], "application/x-reversed", ["reversed"])
    assert compress(b"abc", "reversed") == (b"cba", "application/x-reversed")
    assert decompress(b"cba", "application/x-reversed") == b"abc"
    assert encoders()[-1] == "application/x-reversed"
    with pytest.raises(DecodeError, match="application/x-reversed: more than 2 bytes when unpacked"):
        decompress(b"cba", "reversed", 2)


def test_a_registered_method_that_looks_at_the_limit(methods: None) -> None:
    register(bytes, lambda body, max_size: body[:max_size], "application/x-cut", capped=True)
    assert decompress(b"abc", "application/x-cut", 2) == b"ab"


def test_whatever_a_registered_method_raises_is_one_of_our_errors(methods: None) -> None:
    def broken(body: bytes) -> bytes:
        raise LookupError("no table")

    register(broken, broken, "application/x-broken")
    with pytest.raises(EncodeError, match="application/x-broken: LookupError"):
        compress(b"", "application/x-broken")
    with pytest.raises(DecodeError, match="application/x-broken: LookupError"):
        decompress(b"", "application/x-broken")
