"""Settings of every part: ``PYDAG_*`` variables, or a TOML file named by ``PYDAG_CONFIG``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pydag_dist.config_file import KEY_PREFIX, LOG_STORE, config_table
from pydag_dist.errors import InvalidSettings
from pydag_dist.receivers import Webhook
from pydag_dist.redis_url import RedisUrl

# Modules beside the setting `imports` of workers: those of `pydag worker --import`.
FURTHER_IMPORTS: Final = "PYDAG_WORKER_FURTHER_IMPORTS"


@dataclass
class Settings:
    """What every part of an installation must agree on. A variable beats the file."""

    redis_url: str = field(default="redis://127.0.0.1:6379/0", repr=False)  # of all parts
    database_url: str | None = field(default=None, repr=False)  # sqlite:////file or postgresql://…
    home: Path = Path("~/.pydag")  # where embedded data lives
    key_prefix: str = "pydag"
    retention: int = 7 * 86400  # seconds that an ended run stays in Redis
    lease: float = 15.0  # seconds after which a worker that is not heard of counts as dead
    dags: Path | None = None  # a folder whose DAG files coordinators publish
    history_days: int | None = None  # after which coordinators delete ended runs
    bigquery_price: float = (
        6.25  # USD for a TiB on demand: https://cloud.google.com/bigquery/pricing
    )
    log_store: str | None = None  # a directory, or gs://BUCKET/PREFIX
    webhooks: dict[str, Webhook] = field(default_factory=dict, repr=False)  # by names for DAGs
    smtp_url: str | None = field(default=None, repr=False)  # of the server that sends their e-mail
    smtp_from: str | None = None  # the address that it is sent from
    metrics: str | None = None  # PORT or ADDRESS:PORT, where a coordinator serves metrics
    traces_url: str | None = field(default=None, repr=False)  # where they send spans by OTLP/HTTP
    lineage_url: str | None = field(default=None, repr=False)  # and events of OpenLineage
    # Of clients where Redis is not reachable:
    url: str | None = field(default=None, repr=False)  # of `pydag web`
    token: str | None = field(default=None, repr=False)  # for it
    token_file: Path | None = None  # in which the token is
    ca_file: Path | None = None  # the certificates that are trusted, as PEM

    @property
    def history_url(self) -> str:
        """The history's database; a SQLite file in the home unless a URL is set."""
        file = self.home.expanduser() / "history.sqlite"
        return self.database_url or f"sqlite:///{quote(str(file))}"

    @property
    def log_place(self) -> str | None:
        """Where logs are kept: what is set, or else a directory beside a history that is a file."""
        if self.log_store or not (self.database_url or "sqlite").startswith("sqlite"):
            return self.log_store
        return str(self.home.expanduser() / "task-logs")

    def require_redis(self) -> None:
        """`InvalidSettings` if only the address of a service is given."""
        if self.url and self.redis_url == Settings.redis_url:
            raise InvalidSettings(
                "this needs Redis itself, and can't be done by PYDAG_URL: set PYDAG_REDIS_URL"
            )

    @property
    def web_token(self) -> str:
        """The token for `url`, empty if there is none."""
        if self.token is not None or self.token_file is None:
            return self.token or ""
        try:
            return self.token_file.expanduser().read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise InvalidSettings(
                f"PYDAG_TOKEN_FILE is {self.token_file}, which can't be read ({why}): write the "
                "token into it, or set PYDAG_TOKEN"
            ) from None

    @property
    def has_history(self) -> bool:
        """Whether a database is named, or the one that coordinators of this host use is there."""
        try:
            return self.database_url is not None or (self.home / "history.sqlite").is_file()
        except OSError:  # another user's home
            return False


def link_file(home: Path, port: int | str | None) -> Path:
    """Where the `pydag web` of that port, in mode local, keeps the address with its next key."""
    return home / f"web-{port}.link"


SETTINGS: Final = tuple(each.name for each in fields(Settings))

# Those of a worker (workers/settings.py), and what the parts tell each other.
WORKER_SETTINGS = (
    "connections", "connection", "project", "location", "spark", "stores", "databases", "imports",
    "uploads", "run_on", "estimates", "secrets", "secret_project", "queues", "further_imports",
)  # fmt: skip
# Those of `pydag web` (web/settings.py).
WEB_SETTINGS = (
    "address", "port", "mode", "prefix", "proxies", "user_header", "groups_header", "groups",
    "default_role", "requests_per_second", "streams", "files",
)  # fmt: skip
_ELSEWHERE = ("PYDAG_CONFIG", "PYDAG_REDIS_PASSWORD")  # the file; docker-compose.yaml
_ANYTHING = ("PYDAG_TEST_", "PYDAG_SECRET_")


def unknown_variables() -> list[str]:
    """A sentence for each ``PYDAG_*`` variable of this process that no part reads."""
    known = {f"PYDAG_{name}".upper() for name in SETTINGS}
    known |= {f"PYDAG_WORKER_{name}".upper() for name in WORKER_SETTINGS} | {*_ELSEWHERE}
    known |= {f"PYDAG_WEB_{name}".upper() for name in WEB_SETTINGS}
    told = []
    for name in sorted(os.environ):
        if name.startswith("PYDAG_") and not name.startswith(_ANYTHING) and name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, sorted(known), n=1)
            told.append(f"nobody reads {name}" + (f": is {near[0]} meant?" if near else ""))
    return told


def load_settings() -> Settings:
    """The settings of this process; `InvalidSettings` names every wrong one."""
    if (settings := _plainly_right()) is None:
        from pydag_dist.checked_settings import checked

        settings = Settings(**checked())
    try:
        settings.home = settings.home.expanduser()
    except RuntimeError:
        raise InvalidSettings(
            f"PYDAG_HOME is {settings.home}, and nobody knows what ~ is here: give a whole path"
        ) from None
    return settings


def _plainly_right() -> Settings | None:
    """The settings, if they are texts about which nobody could be in doubt; else None.

    It spares every command pydantic, which takes as long as all else that `pydag runs` does.
    """
    given: dict[str, Any] = config_table("")
    for variable, value in os.environ.items():
        name = variable.lower()
        if name.startswith("pydag_") and (name := name.removeprefix("pydag_")) in SETTINGS:
            given[name] = value
    if not given.keys() <= _READ.keys():
        return None
    try:
        return Settings(**{name: _READ[name](value) for name, value in given.items()})
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _redis_url(value: Any) -> str:
    RedisUrl.parse(_text(value))
    return str(value)


def _path(value: Any) -> Path:
    return Path(_text(value))


def _fitting(pattern: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not re.fullmatch(pattern, _text(value)) or value.endswith("\n"):
            raise ValueError
        return str(value)

    return read


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "redis_url": _redis_url,
    "database_url": _text,
    "home": _path,
    "key_prefix": _fitting(KEY_PREFIX),
    "dags": _path,
    "log_store": _fitting(LOG_STORE),
    "metrics": _text,
    "url": _text,
    "token": _text,
    "token_file": _path,
    "ca_file": _path,
}
