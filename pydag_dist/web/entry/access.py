"""Who asks: by a cookie, by a token, or as a proxy says."""

from __future__ import annotations

import contextlib
import hmac
import logging
import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final, get_args

from pydag_dist.client.submitter import user_at_host
from pydag_dist.dag.ids import worker_name
from pydag_dist.web.settings import Role, WebSettings
from pydag_dist.web.tokens import Token, Tokens, hash_of

log = logging.getLogger(__name__)

COOKIE: Final = "pydag"
KNOWN_SECONDS: Final = 2.0  # that a token is believed without asking Redis again
_ROLES: Final = get_args(Role)
_PORT: Final = re.compile(r":(\d{1,5})$", re.ASCII)


@dataclass(frozen=True)
class Principal:
    """Somebody who is known, and that one's role."""

    name: str
    role: Role


class LocalKeys:
    """The key that lets a browser of this host in, once; then there is another one.

    It stands in a file that only this user can read.
    """

    def __init__(self, file: Path | None, address: str = "") -> None:
        self._file, self.address = file, address
        self._cookie = secrets.token_urlsafe(32)
        self._lock = threading.Lock()
        self._key = ""
        self._renew()

    @property
    def link(self) -> str:
        """The address that lets a browser in."""
        return f"{self.address}?key={self._key}"

    def listens(self, address: str) -> None:
        """Say where the process can be reached by now."""
        with self._lock:
            self.address = address
            self._write()

    def close(self) -> None:
        """Forget the file: nobody is let in by it any more."""
        with self._lock:
            if self._file is not None:
                self._file.unlink(missing_ok=True)
            self._file = None

    def cookie_for(self, key: str) -> str | None:
        """What a browser with that key is to keep; None if it is not the key."""
        with self._lock:
            if not _same(key, self._key):
                return None
            self._renew()
            return self._cookie

    def is_cookie(self, value: str) -> bool:
        """Whether a browser has that from here."""
        return _same(value, self._cookie)

    def _renew(self) -> None:
        self._key = secrets.token_urlsafe(24)
        self._write()

    def _write(self) -> None:
        if self._file is None or not self.address:
            return
        new = self._file.with_suffix(".new")
        try:
            new.unlink(missing_ok=True)
            new.touch(mode=0o600)
            new.write_text(f"{self.link}\n")
            new.replace(self._file)
        except OSError as error:  # such as a full disk: who is in stays in
            log.warning(
                "%s can't be written (%s): `pydag web --link` has no key", self._file, error
            )
            for each in (new, self._file):
                with contextlib.suppress(OSError):
                    each.unlink(missing_ok=True)


class Doorkeeper:
    """Tells who asks, by what a request brings along."""

    def __init__(self, web: WebSettings, tokens: Tokens, keys: LocalKeys) -> None:
        self._web, self._tokens, self.keys = web, tokens, keys
        self._known: tuple[float, dict[str, Token]] = (0.0, {})

    def unknown(self) -> str:
        """What somebody has to do who is not known."""
        if self._web.mode == "local":
            return (
                "open the address with its key that `pydag up` or `pydag web` has printed; "
                "`pydag web --link` prints another one"
            )
        if self._web.mode == "proxy":
            return "come by the proxy, or send a token: Authorization: Bearer TOKEN"
        return "send a token: Authorization: Bearer TOKEN; an admin can make one"

    def token_of(self, headers: Mapping[str, str]) -> str | None:
        """The token that a request brings along."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    def cookie_of(self, headers: Mapping[str, str]) -> str:
        """The cookie that a request brings along."""
        name = cookie_name(headers.get("host", ""))
        pairs = (each.strip().partition("=") for each in headers.get("cookie", "").split(";"))
        # Of several, that of the longest path comes first.
        return next((value for found, _, value in pairs if found == name), "")

    def by_token(self, token: str) -> Principal | None:
        """Who holds that token."""
        found = self._by_hash().get(hash_of(token))
        return Principal(found.name, found.role) if found else None

    def by_cookie(self, value: str) -> Principal | None:
        """Whose browser that is."""
        if not value:
            return None
        if self._web.mode == "local":
            return Principal(user_at_host(), "admin") if self.keys.is_cookie(value) else None
        return self.by_token(value)

    def by_proxy(self, client: str, headers: Mapping[str, str]) -> Principal | None:
        """Whom a proxy that is believed has let in."""
        if self._web.mode != "proxy":
            return None
        try:
            address = ip_address(client)
        except ValueError:
            return None
        address = getattr(address, "ipv4_mapped", None) or address  # as where both are listened for
        if not any(address in network for network in self._web.proxies):
            return None
        user = headers.get(self._web.user_header.lower(), "").strip()
        if not user:
            return None
        groups = headers.get(self._web.groups_header.lower(), "").split(",")
        given = [role for g in groups if (role := self._web.groups.get(g.strip()))]
        roles = [*given, *([self._web.default_role] if self._web.default_role else [])]
        if not roles:
            return None
        return Principal(worker_name(user)[:100], max(roles, key=_ROLES.index))

    def _by_hash(self) -> dict[str, Token]:
        asked, known = self._known
        if time.monotonic() - asked > KNOWN_SECONDS:
            known = {token.sha256: token for token in self._tokens.all()}
            self._known = time.monotonic(), known
        return known

    def forget(self) -> None:
        """Ask for the tokens anew: they were changed."""
        self._known = (0.0, {})


def cookie_name(host: str) -> str:
    """The name of the cookie; browsers send one to all ports of a host, so it has the port's."""
    port = _PORT.search(host)
    return f"{COOKIE}-{port[1]}" if port else COOKIE


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
