"""Broker URLs: parsed once into a value that never shows its password by accident."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit

__all__ = ["BrokerURL", "mask", "split_urls"]


@dataclass(frozen=True, slots=True)
class BrokerURL:
    """One broker's address.

    ``scheme`` picks the transport; for ``sqla+sqlite:///file`` it is ``sqla`` and ``rest`` holds the driver's own
    URL (``sqlite:///file``).  ``str()`` and ``repr()`` mask the password; :meth:`unmasked` does not.
    """

    scheme: str
    hostname: str | None = None
    port: int | None = None
    userid: str | None = None
    password: str | None = field(default=None, repr=False)
    virtual_host: str | None = None
    options: dict[str, str] = field(default_factory=dict, hash=False)
    rest: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``scheme://user:password@host:port/virtual_host?option=value``.

        A percent sign in user, password or virtual host starts an escape, as everywhere in URLs.
        Raises ``ValueError`` naming what is wrong, with the password masked.
        """
        text = text.strip()
        scheme, found, remainder = text.partition("://")
        if not found:
            # kombu takes a bare transport name, too
            if text and all(c.isalnum() or c in "+-._" for c in text):
                return cls(scheme=text)
            raise ValueError(f"{mask(text)!r} is not a URL: it has no '://'")
        scheme, plus, inner = scheme.partition("+")
        if plus:
            return cls(scheme=scheme.lower(), rest=f"{inner}://{remainder}")
        parts = urlsplit(f"//{remainder}")
        try:
            port = parts.port
        except ValueError:
            raise ValueError(f"{mask(text)!r}: the port is not a number from 0 to 65535") from None
        path = parts.path.removeprefix("/")
        return cls(
            scheme=scheme.lower(),
            hostname=parts.hostname,
            port=port,
            userid=_decoded(parts.username),
            password=_decoded(parts.password),
            virtual_host=unquote(path) if path else None,
            options=dict(parse_qsl(parts.query, keep_blank_values=True)),
        )

    def replace(self, **changes: object) -> BrokerURL:
        """A copy with some parts changed."""
        return replace(self, **changes)  # type: ignore[arg-type]  # dataclasses.replace checks the names

    def unmasked(self) -> str:
        """The whole URL, password and all: for drivers, never for people."""
        if self.rest is not None:
            return f"{self.scheme}+{self.rest}"
        login = ""
        if self.userid is not None:
            login = quote(self.userid, safe="")
            if self.password is not None:
                login += ":" + quote(self.password, safe="")
            login += "@"
        port = f":{self.port}" if self.port is not None else ""
        path = f"/{quote(self.virtual_host, safe='')}" if self.virtual_host is not None else "/"
        query = "&".join(f"{quote(k)}={quote(v)}" for k, v in self.options.items())
        return f"{self.scheme}://{login}{self.hostname or ''}{port}{path}" + (f"?{query}" if query else "")

    def __str__(self) -> str:
        return mask(self.unmasked())


def _decoded(part: str | None) -> str | None:
    return None if part is None else unquote(part)


def mask(text: str) -> str:
    """*text* with the password of every URL in it replaced by ``**``."""
    return ";".join(_mask_one(part) for part in text.split(";"))


def _mask_one(text: str) -> str:
    head, found, remainder = text.partition("://")
    if not found:
        return text
    authority, slash, path = remainder.partition("/")
    login, at, host = authority.rpartition("@")
    if not at:
        return text
    user, colon, _ = login.partition(":")
    return f"{head}://{user}{':**' if colon else ''}@{host}{slash}{path}"


def split_urls(text: str) -> list[str]:
    """The URLs of a ``;`` list, without the empty ones."""
    return [part.strip() for part in text.split(";") if part.strip()]
