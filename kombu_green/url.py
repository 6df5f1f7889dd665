"""Broker URLs: parsed once into a value that never shows its password by accident."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, Self
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
    """*text* with the password of every URL in it replaced by ``**``, and what options named like secrets hold.

    A password that was not percent-encoded may hold ``/ ? # ; :`` and ``@`` itself, so that the URL is no good: it is
    what error messages are about, and is masked as well.  Rather too much is masked than too little.
    """
    starts = [match.start() for match in _SCHEME.finditer(text)] + [len(text)]
    parts = [_mask_one(text[start:end]) for start, end in pairwise(starts)]
    return text[: starts[0]] + "".join(parts)


_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST_AND_PORT: Final = re.compile(r"(\[[^\]]*\]|[^:@/?#;\s]*)(:[0-9]*(?=[\s,.;:'\")/?#]|$)|(?=[\s,.;'\")/?#]|$))")
_SECRET_OPTION: Final = re.compile(
    r"([?&;][^=&;?\s]*(?:passw|secret|token|credential)[^=&;?\s]*=)[^&;\s'\"]*", re.IGNORECASE
)


def _mask_one(text: str) -> str:
    """One URL and whatever follows it, up to the next one."""
    head, found, remainder = text.partition("://")
    first = remainder.find("@")
    if _HOST_AND_PORT.match(remainder) and "@" not in re.split(r"[/?#;\s]", remainder, maxsplit=1)[0]:
        masked = text  # an @ further on is none of a login
    elif first < 0:  # what stands in the port's place may be half of a password
        masked = re.sub(r"(://[^:/?#\s]*:)[^/?#\s'\"]+", r"\1**", text, count=1)
    else:
        word = re.compile(r"\S*").match(remainder, first)  # what follows the URL may have an @, too
        last = remainder.rindex("@", first, word.end() if word else None)
        user, colon, _ = remainder[:last].partition(":")
        masked = f"{head}{found}{user}{':**' if colon else ''}{remainder[last:]}"
    return _SECRET_OPTION.sub(r"\1**", masked)


def split_urls(text: str) -> list[str]:
    """The URLs of a ``;`` list, without the empty ones."""
    return [part.strip() for part in text.split(";") if part.strip()]
