"""Bodies to bytes and back, by content type.

Without a serializer's name a ``str`` travels as ``text/plain`` in UTF-8, bytes as ``application/data``, and all else as
JSON.  Bytes and text are always read, as they can do no harm.  Of the rest a consumer reads what is in its accept list;
without one, what is registered but pickle, yaml and msgpack.

There is one registry for the process, as in kombu: :data:`registry`, whose methods are the functions of this module.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from kombu_green import extended_json, plain, plugins
from kombu_green.exceptions import ContentDisallowed, DecodeError, EncodeError, PluginError, SerializerNotInstalled
from kombu_green.plain import raw_encode

__all__ = [
    "SerializerRegistry",
    "decode",
    "disable_insecure_serializers",
    "dumps",
    "enable_insecure_serializers",
    "encode",
    "loads",
    "prepare_accept_content",
    "raw_encode",
    "register",
    "registry",
    "unregister",
]

Encoder = Callable[[Any], bytes | str]
Decoder = Callable[[Any], Any]

_AS_BYTES = plain.BINARY | {"utf-8", "utf8", "us-ascii", "ascii"}  # in these a decoder is given the bytes
_INSECURE = ("pickle", "yaml", "msgpack")


class _Serializer(NamedTuple):
    name: str
    content_type: str
    content_encoding: str
    encoder: Encoder | None
    decoder: Decoder | None
    plain: bool = False  # bytes or text: accepted by everybody, decoded by charset alone
    check: Callable[[], object] = bool  # raises SerializerNotInstalled when the library is missing


class SerializerRegistry:
    """Serializers by name and by content type, and the types that are refused where there is no accept list."""

    def __init__(self) -> None:
        self._names: dict[str, _Serializer] = {}
        self._types: dict[str, _Serializer] = {}
        self._disabled: set[str] = set()
        for builtin in _BUILTIN:
            self._add(builtin)
        for name in _INSECURE:
            self.disable(name)

    @property
    def name_to_type(self) -> Mapping[str, str]:
        """Content types by serializers' names."""
        return {name: found.content_type for name, found in self._names.items()}

    @property
    def type_to_name(self) -> Mapping[str, str]:
        """Serializers' names by content types."""
        return {content_type: found.name for content_type, found in self._types.items()}

    def register(
        self,
        name: str,
        encoder: Encoder | None,
        decoder: Decoder | None,
        content_type: str,
        content_encoding: str = "utf-8",
    ) -> None:
        """Add a serializer, or replace the one of that name or type.

        The encoder is given a body and returns bytes or a string; the decoder is given bytes (or a string, when
        *content_encoding* is a charset and a message says another one than UTF-8).  One of them may be None.
        """
        self._add(_Serializer(name, content_type, content_encoding, encoder, decoder))

    def unregister(self, name: str) -> None:
        """Forget a serializer.  Raises :exc:`~kombu_green.exceptions.SerializerNotInstalled` when it is not there."""
        content_type = self._find(name).content_type
        del self._names[name]
        self._types.pop(content_type, None)

    def enable(self, name: str) -> None:
        """Read it, named by serializer or content type, where there is no accept list."""
        self._disabled.discard(self._type_of(name))

    def disable(self, name: str) -> None:
        """Refuse it, named by serializer or content type, where there is no accept list."""
        self._disabled.add(self._type_of(name))

    def enable_insecure_serializers(self, choices: Iterable[str] = _INSECURE) -> None:
        """Read these where there is no accept list.  With pickle, whoever can publish can run code in this process."""
        for name in choices:
            self.enable(name)

    def disable_insecure_serializers(self, allowed: Iterable[str] | None = ("json",)) -> None:
        """Read nothing but these (and bytes and text) where there is no accept list."""
        for name in self._names:
            self.disable(name)
        for name in allowed or ():
            self.enable(name)

    def prepare_accept_content(self, accept: Iterable[str] | None) -> frozenset[str] | None:
        """The content types of a list that mixes them with serializers' names; None, the default, stays None.

        Raises :exc:`~kombu_green.exceptions.SerializerNotInstalled` for a name that is unknown, or whose library is not
        installed.
        """
        if accept is None:
            return None
        names = (accept,) if isinstance(accept, str) else tuple(accept)
        for name in names:
            if "/" not in name:
                self._find(name).check()
        return frozenset(map(self._type_of, names))

    def encode(self, body: Any, serializer: str | None = None) -> tuple[str, str, bytes]:
        """``(content_type, content_encoding, payload)`` of a body.

        Raises :exc:`~kombu_green.exceptions.EncodeError` when the serializer cannot write it, and
        :exc:`~kombu_green.exceptions.SerializerNotInstalled` when there is none of that name.
        """
        if serializer is None:
            if isinstance(body, str):
                return "text/plain", "utf-8", plain.write_text(body)
            if isinstance(body, plain.BYTES_LIKE):
                return "application/data", "binary", bytes(body)
            serializer = "json"
        elif serializer == "raw":
            return raw_encode(body)
        found = self._names.get(serializer) or self._find(serializer)
        if found.encoder is None:
            raise EncodeError(f"the serializer {serializer!r} can read but not write")
        try:
            payload = found.encoder(body)
        except SerializerNotInstalled:
            raise
        except EncodeError as error:
            raise EncodeError(f"{serializer}: {error}") from error
        except Exception as error:  # a serializer that somebody registered may raise anything
            raise EncodeError(f"{serializer}: {plain.type_name(body)}: {type(error).__name__}: {error}") from error
        if type(payload) is not bytes:
            payload = raw_encode(payload)[2]
        return found.content_type, found.content_encoding, payload

    def decode(
        self,
        data: bytes | bytearray | memoryview | str,
        content_type: str | None,
        content_encoding: str | None,
        accept: frozenset[str] | None = None,
    ) -> Any:
        """The body.  *accept* holds content types, as :func:`prepare_accept_content` returns them.

        Without a content type it is ``application/data``; without an encoding text is UTF-8 and data are bytes.  Raises
        :exc:`~kombu_green.exceptions.ContentDisallowed` when the type is not accepted, and
        :exc:`~kombu_green.exceptions.DecodeError` when it is unknown or the data are not what it says.
        """
        found = self._types.get(content_type or "application/data") or self._by_bare_type(content_type)
        content_type = found.content_type
        charset = content_encoding.lower() if content_encoding else ""
        if found.plain:
            return plain.read(data, content_type, charset)
        if content_type in self._disabled if accept is None else content_type not in accept:
            accepted = ", ".join(sorted(self._types.keys() - self._disabled if accept is None else accept))
            raise ContentDisallowed(f"{content_type} ({found.name}) is not accepted here; accepted are {accepted}")
        if found.decoder is None:
            raise DecodeError(f"{content_type}: the serializer {found.name!r} can write but not read")
        try:
            if charset not in _AS_BYTES and found.content_encoding not in plain.BINARY:
                return found.decoder(plain.to_text(data, charset))
            return found.decoder(data)
        except (DecodeError, SerializerNotInstalled) as error:
            raise DecodeError(f"{content_type}: {error}") from error
        except Exception as error:  # a serializer that somebody registered may raise anything
            raise DecodeError(f"{content_type}: {type(error).__name__}: {error}") from error

    def _add(self, serializer: _Serializer) -> None:
        self._names[serializer.name] = self._types[serializer.content_type] = serializer

    def _find(self, name: str) -> _Serializer:
        found = self._names.get(name)
        if found is None:
            raise SerializerNotInstalled(f"no serializer {name!r}: known are {', '.join(self._names)}")
        return found

    def _type_of(self, name: str) -> str:
        return name if "/" in name else self._find(name).content_type

    def _by_bare_type(self, content_type: object) -> _Serializer:
        """For a type with parameters or capitals, as ``Application/JSON; charset=utf-8``."""
        bare = content_type.partition(";")[0].strip().lower() if isinstance(content_type, str) else None
        found = self._types.get(bare or "")
        if found is None:
            raise DecodeError(f"unknown content type {content_type!r}: known are {', '.join(self._types)}")
        return found


def _optional(
    name: str, content_type: str, content_encoding: str, encoder: str, decoder: str, distribution: str
) -> _Serializer:
    """A serializer whose library is imported when it is used."""

    def load(path: str) -> Any:
        try:
            return plugins.load(path)
        except PluginError as error:
            raise SerializerNotInstalled(
                f"{name} needs {distribution}: pip install {distribution} ({error})"
            ) from error

    def write(body: Any) -> Any:
        return load(encoder)(body)

    def read(data: Any) -> Any:
        return load(decoder)(data)

    return _Serializer(name, content_type, content_encoding, write, read, check=lambda: load(decoder))


def _pickle(body: Any) -> bytes:
    return pickle.dumps(body, protocol=4)  # as kombu does: every Python that is in use reads it


def _unpickle(data: Any) -> Any:
    stream = io.BytesIO(data)
    value = pickle.load(stream)
    rest = len(stream.read())
    if rest:
        raise DecodeError(f"{rest} bytes follow its end")
    return value


_BUILTIN = (
    _Serializer("json", "application/json", "utf-8", extended_json.dumps, extended_json.loads),
    _Serializer("raw", "application/data", "binary", plain.write_text, None, plain=True),
    _Serializer("text", "application/text", "utf-8", plain.write_text, None, plain=True),
    _Serializer("text", "text/plain", "utf-8", plain.write_text, None, plain=True),
    _Serializer("pickle", "application/x-python-serialize", "binary", _pickle, _unpickle),
    _optional("yaml", "application/x-yaml", "utf-8", "yaml:safe_dump", "yaml:safe_load", "PyYAML"),
    _optional("msgpack", "application/x-msgpack", "binary", "msgpack:packb", "msgpack:unpackb", "msgpack"),
)

registry = SerializerRegistry()
encode = dumps = registry.encode
decode = loads = registry.decode
register = registry.register
unregister = registry.unregister
prepare_accept_content = registry.prepare_accept_content
enable_insecure_serializers = registry.enable_insecure_serializers
disable_insecure_serializers = registry.disable_insecure_serializers
