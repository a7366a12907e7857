"""Where `pydag web` is, and the token that it is sent: never to another host, never in a text."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import SplitResult, urlsplit

from pydag_dist.errors import InvalidSettings
from pydag_dist.http_connection import PORTS

_EXAMPLE: Final = "it must be such as https://pydag.example/ or http://127.0.0.1:8080/"
_PLAIN: Final = re.compile(r"[\x21-\x7e]+")
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True)
class Address:
    """Where a service is: scheme, host and port, and the path below which a proxy shows it."""

    scheme: str
    host: str
    port: int
    prefix: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL; `InvalidSettings` says what is wrong with it, and repeats nothing of it."""
        parts = _split(text)
        if parts.username or parts.password or parts.query or parts.fragment:
            raise InvalidSettings(
                "the URL of the service has a user, a password, or something after ? or #: write "
                "the address alone, and the token into PYDAG_TOKEN or a file that PYDAG_TOKEN_FILE "
                "names"
            )
        prefix = parts.path.rstrip("/")
        if not (parts.scheme in PORTS and parts.hostname and _PREFIX.fullmatch(prefix)):
            raise InvalidSettings(f"the URL of the service can't be used: {_EXAMPLE}")
        port = parts.port or PORTS[parts.scheme]
        return cls(parts.scheme, parts.hostname, port, prefix)

    @property
    def netloc(self) -> str:
        """Host and port, as a request names them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.prefix}"


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text if _PLAIN.fullmatch(text) else "")
        _ = parts.port
    except ValueError:
        raise InvalidSettings(f"the URL of the service can't be used: {_EXAMPLE}") from None
    return parts


@dataclass(frozen=True)
class Access:
    """An address, the token for it (empty: none), and the certificates that are trusted."""

    address: Address
    token: str = field(default="", repr=False)
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        if self.token and not _PLAIN.fullmatch(self.token):
            raise InvalidSettings(
                "the token for the service has characters that no token has: give it as "
                "`pydag tokens --add NAME` has printed it"
            )

    def tls(self) -> ssl.SSLContext:
        """What connections are checked by."""
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            why = error.strerror or error
            raise InvalidSettings(
                f"PYDAG_CA_FILE is {self.ca_file}, which can't be used ({why}): name a file of "
                "certificates, as PEM"
            ) from None
