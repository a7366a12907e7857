"""The URL of Redis: what it may say, and what it means to redis-py and to Celery.

The two read the same URL in different ways: a `;` in a password is several brokers to Celery, and
without a word about certificates it refuses `rediss://`. So it is read here, once.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

_EXAMPLE: Final = "such as redis://:PASSWORD@HOST:6379/0"
_SPECIAL: Final = (
    'has a "#", "/", "?", "@", "[" or "]" where none can be: in a user or a password write '
    "%23, %2F, %3F, %40, %5B and %5D instead"
)


def _seconds(text: str) -> float:
    if not 0 < (seconds := float(text)) < 3600:
        raise ValueError
    return seconds


def _file(text: str) -> str:
    if not Path(text).is_file():
        raise ValueError
    return text


def _one_of(**meanings: Any) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if text.lower() not in meanings:
            raise ValueError
        return meanings[text.lower()]

    return read


# Options after the "?": how each is read, and what it must be.
_TIMES: Final[Mapping[str, tuple[Callable[[str], Any], str]]] = {
    "socket_timeout": (_seconds, "a number of seconds"),
    "socket_connect_timeout": (_seconds, "a number of seconds"),
}
_TLS: Final[Mapping[str, tuple[Callable[[str], Any], str]]] = {
    "ssl_ca_certs": (_file, "a file of certificates that is there"),
    "ssl_certfile": (_file, "a file with a certificate that is there"),
    "ssl_keyfile": (_file, "a file with a key that is there"),
    "ssl_cert_reqs": (
        _one_of(required=ssl.CERT_REQUIRED, none=ssl.CERT_NONE),
        "required (the default) or none",
    ),
    "ssl_check_hostname": (_one_of(true=True, false=False), "true (the default) or false"),
}


@dataclass(frozen=True)
class RedisUrl:
    """Where Redis is and how to log in.

    `times` and `tls` are arguments of redis-py's connections; `tls` is None without TLS.
    """

    host: str
    port: int
    path: str  # of a socket's file, instead of host and port
    database: int
    username: str | None
    password: str | None = field(repr=False)
    times: Mapping[str, float]
    tls: Mapping[str, Any] | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL; a `ValueError` says what is wrong with it, and nothing of its password."""
        parts = _split(text)
        unix, tls = parts.scheme == "unix", parts.scheme == "rediss"
        given = _options(parts.query)
        database = given.pop("db", "" if unix else parts.path.strip("/")) or "0"
        if not re.fullmatch(r"[0-9]{1,9}", database):
            raise ValueError(f"does not end with the number of a database, {_EXAMPLE}")
        if unix and (parts.hostname or len(parts.path) < 2):
            raise ValueError("names no file: it must be such as unix:///run/redis/redis.sock?db=0")
        known = {**_TIMES, **(_TLS if tls else {})}
        if not tls and (wrong := sorted(_TLS.keys() & given.keys())):
            raise ValueError(f"has {', '.join(wrong)}, which is for rediss:// only")
        if given.keys() - known.keys():
            raise ValueError(
                f'has an unknown option after its "?": there are db, {", ".join(known)}'
            )
        options = {name: _option(name, value, *known[name]) for name, value in given.items()}
        return cls(
            host=unquote(parts.hostname or "") or "127.0.0.1",
            port=parts.port or 6379,
            path=unquote(parts.path) if unix else "",
            database=int(database),
            username=unquote(parts.username or "") or None,
            password=unquote(parts.password or "") or None,
            times={name: options[name] for name in _TIMES if name in options},
            tls=_tls({name: options[name] for name in _TLS if name in options}) if tls else None,
        )

    @property
    def shown(self) -> str:
        """For people, without the password."""
        return self._text("***" if self.password else "")

    @property
    def for_redis(self) -> str:
        """For redis-py, which gets `times` and `tls` apart from it; with the password."""
        return self._text(quote(self.password or "", ""))

    @property
    def for_celery(self) -> str:
        """The same for Celery, where a socket's URL is another."""
        url = self.for_redis
        return (
            url.replace("unix", "socket", 1).replace("?db=", "?virtual_host=") if self.path else url
        )

    def _text(self, password: str) -> str:
        login = quote(self.username or "", "") + (f":{password}" if password else "")
        login += "@" if login else ""
        if self.path:
            return f"unix://{login}{quote(self.path)}?db={self.database}"
        scheme = "redis" if self.tls is None else "rediss"
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, "")
        return f"{scheme}://{login}{host}:{self.port}/{self.database}"


def _split(text: str) -> SplitResult:
    if not text.isprintable() or " " in text:
        raise ValueError("has a space or a line break in it")
    scheme, separator, _ = text.partition("://")
    if not separator:
        raise ValueError(f"does not begin with redis://, rediss:// or unix://, {_EXAMPLE}")
    if scheme not in ("redis", "rediss", "unix"):
        raise ValueError(
            "does not begin with redis://, rediss:// or unix://: one Redis is needed, by its own "
            "address, and neither Sentinel nor a cluster"
        )
    try:
        parts = urlsplit(text)
        parts.hostname  # noqa: B018  it is read now
    except ValueError:  # brackets, as of an IPv6 address
        raise ValueError(_SPECIAL) from None
    if "#" in text or "@" in parts.path or "@" in parts.query:
        raise ValueError(_SPECIAL)
    try:
        wrong = parts.port == 0
    except ValueError:
        wrong = True
    if wrong:
        raise ValueError(f"has a port that is no number from 1 to 65535, {_EXAMPLE}")
    return parts


def _options(query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        raise ValueError('has something else than NAME=VALUE after its "?"') from None


def _option(name: str, value: str, read: Callable[[str], Any], what: str) -> Any:
    try:
        return read(value)
    except (ValueError, OSError):
        raise ValueError(f"has {name}, which is not {what}") from None


def _tls(options: dict[str, Any]) -> dict[str, Any]:
    """All of TLS's options, with certificates that can be read."""
    authorities, own, key = map(options.get, ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"))
    if key and not own:
        raise ValueError("has ssl_keyfile without ssl_certfile")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    name = "ssl_ca_certs"
    try:
        if authorities:
            context.load_verify_locations(authorities)
        name = "ssl_certfile or ssl_keyfile"
        if own:
            # Without a password to be tried it would ask the terminal for one.
            context.load_cert_chain(own, key, password="")
    except OSError as error:
        why = error.strerror or "it must be PEM, and a key without a password"
        raise ValueError(f"has {name} that can't be used: {why}") from None
    verified = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    if options.get("ssl_cert_reqs") == ssl.CERT_NONE:
        verified["ssl_check_hostname"] = False
    return {**verified, **options}
