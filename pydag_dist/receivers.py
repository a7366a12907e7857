"""Who is told of runs: the webhooks that settings name, and the server that sends e-mail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, Self
from urllib.parse import unquote, urlsplit

Format = Literal["json", "slack", "google-chat", "email"]

_PORTS: Final = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True)
class Webhook:
    """A receiver of messages: a `url`, or for `email` the addresses that it goes `to`."""

    url: str = field(default="", repr=False)
    format: Format = "json"
    to: tuple[str, ...] = ()


@dataclass(frozen=True)
class MailServer:
    """The server that takes e-mail, and how to log in to it.

    Without TLS from the start (`smtps`) the connection is made safe by STARTTLS, but to a server on
    this host.
    """

    host: str
    port: int
    is_tls: bool
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL; a `ValueError` says what is wrong with it, and nothing of its password."""
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError(
                "must be smtp://USER:PASSWORD@HOST:587 (STARTTLS) or smtps://USER:PASSWORD@HOST:465"
                "; in a user or a password write %23, %2F, %3F and %40 for # / ? @"
            )
        return cls(
            parts.hostname,
            port or _PORTS[parts.scheme],
            parts.scheme == "smtps",
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )
