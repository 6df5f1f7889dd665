"""Broker URLs: parsed once into a value that never shows its password by accident."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit

__all__ = ["BrokerURL", "mask", "mask_url", "split_urls"]


@dataclass(frozen=True, slots=True, repr=False)
class BrokerURL:
    """One broker's address.

    ``scheme`` picks the transport; for ``sqla+sqlite:///file`` it is ``sqla`` and ``rest`` holds the driver's own
    URL (``sqlite:///file``).  ``str()`` and ``repr()`` mask passwords; :meth:`unmasked` does not.
    """

    scheme: str
    hostname: str | None = None
    port: int | None = None
    userid: str | None = None
    password: str | None = None
    virtual_host: str | None = None
    options: dict[str, str] = field(default_factory=dict, hash=False)
    rest: str | None = None

    @classmethod
    def parse(cls, text: str, within: str | None = None) -> Self:
        """Read ``scheme://user:password@host:port/virtual_host?option=value``.

        A percent sign in user, password or virtual host starts an escape, as everywhere in URLs.  An ``@`` after the
        host has to be escaped: it may as well be that of a login whose password has a ``/``, ``?`` or ``#``.

        Raises ``ValueError`` naming what is wrong, with passwords masked.  If *text* is a part of the list *within*,
        the error shows the list: an unescaped ``;`` in a password divides it, and masking needs the rest.
        """
        text = text.strip()
        shown = repr(mask_url(within or text))
        scheme, found, remainder = text.partition("://")
        if not found:
            # kombu takes a bare transport name, too
            if text and all(c.isalnum() or c in "+-._" for c in text):
                return cls(scheme=text)
            raise ValueError(f"{shown} is not a URL: it has no '://'")
        scheme, plus, inner = scheme.partition("+")
        if plus:
            return cls(scheme=scheme.lower(), rest=f"{inner}://{remainder}")
        try:
            parts = urlsplit(f"//{remainder}")
        except ValueError:  # its message shows the login
            raise ValueError(f"{shown}: user, password, host and port cannot be told apart") from None
        try:
            port = parts.port
        except ValueError:
            raise ValueError(f"{shown}: the port is not a number from 0 to 65535") from None
        if "@" in parts.path + parts.query + parts.fragment:
            raise ValueError(f"{shown}: an '@' after the host is written %40")
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
        return mask_url(self.unmasked())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


def _decoded(part: str | None) -> str | None:
    return None if part is None else unquote(part)


def mask_url(text: str) -> str:
    """*text*, which is a URL or a list of them with ``;``, and may be malformed, with passwords replaced by ``**``.

    A password that was not percent-encoded may hold ``/ ? # ; :``, blanks and ``@`` itself, so that the URL is no good:
    it is what error messages are about.  Rather too much is masked than too little: all from the first ``:`` after the
    scheme to the last ``@``.  So are the values of options that are named like secrets.
    """
    return "".join(_mask_whole(part) for part in _LIST.split(text))


def mask(text: str) -> str:
    """*text*, a sentence that may have URLs in it, with passwords replaced by ``**`` as :func:`mask_url` does it.

    The login of a URL ends at its first blank, unless it can be seen that it goes on after that.  What has a login but
    no ``scheme://`` is masked as well: ``user:password@host``.
    """
    starts = [match.start() for match in _SCHEME.finditer(text)] + [len(text)]
    parts = [_mask_first(text[start:end]) for start, end in pairwise(starts)]
    return _LOGIN.sub(r"\1:**@", text[: starts[0]]) + "".join(parts)


_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LIST: Final = re.compile(r"(;\s*(?=[A-Za-z][A-Za-z0-9+.-]*://))")  # between two URLs
_LOGIN: Final = re.compile(r"(?<!\S)([^\s:@]*):\S*@")
_HOST_AND_PORT: Final = re.compile(r"(\[[^\]]*\]|[^:@/?#;\s]*)(:[0-9]*(?=[\s,.;:'\")/?#]|$)|(?=[\s,.;'\")/?#]|$))")
_SECRET_NAME: Final = r"([?&;][^=&;?\s]*(?:passw|secret|token|credential)[^=&;?\s]*=)"
#: up to the next option; one without a ``=`` is none, but the rest of a password with an ``&``
_SECRET_OPTION: Final = re.compile(_SECRET_NAME + r"[^&]*(?:&[^=&]*(?=&|$))*", re.IGNORECASE)
_SECRET_OPTION_IN_WORDS: Final = re.compile(
    _SECRET_NAME + r"[^&\s'\"]*?(?:&[^=&\s'\"]*?(?=&|;?$|;?[\s'\"]))*(?=&|;?$|;?[\s'\"])", re.IGNORECASE
)


def _mask_whole(text: str) -> str:
    """One URL, or the separator of two."""
    scheme, found, remainder = text.partition("://")
    if not found:
        scheme, remainder = "", text
    last = remainder.rfind("@")
    if last >= 0:
        remainder = _mask_login(remainder, last, "" if found else "**")
    elif found and not _HOST_AND_PORT.match(remainder):  # what stands in the port's place may be half of a password
        remainder = re.sub(r"^([^:/?#\s]*:)[^/?#]+", r"\1**", remainder)
    return _SECRET_OPTION.sub(r"\1**", scheme + found + remainder)


def _mask_first(text: str) -> str:
    """A URL and whatever follows it, up to the next one."""
    scheme, found, remainder = text.partition("://")
    word = re.match(r"\S*", remainder)
    end = word.end() if word else 0
    if "@" in remainder[:end] or ("@" in remainder and not _HOST_AND_PORT.match(remainder)):
        first = remainder.index("@")
        word = re.compile(r"\S*").match(remainder, first)  # what follows the URL may have an @, too
        end = word.end() if word else len(remainder)
        last = remainder.rindex("@", first, end)
        masked = _mask_login(remainder[:end], last)
    elif _HOST_AND_PORT.match(remainder):
        masked = remainder[:end]
    else:
        masked = re.sub(r"^([^:/?#\s]*:)[^/?#\s'\"]+", r"\1**", remainder[:end])
    rest = _LOGIN.sub(r"\1:**@", remainder[end:])
    return _SECRET_OPTION_IN_WORDS.sub(r"\1**", scheme + found + masked) + rest


def _mask_login(text: str, last: int, without_user: str = "") -> str:
    """*text* without the password before the ``@`` at *last*; *without_user* replaces a login that has no ``:``."""
    user, colon, _ = text[:last].partition(":")
    return f"{user if colon or not without_user else without_user}{':**' if colon else ''}{text[last:]}"


def split_urls(text: str) -> list[str]:
    """The URLs of a ``;`` list, without the empty ones."""
    return [part.strip() for part in text.split(";") if part.strip()]
