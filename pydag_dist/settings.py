"""Settings of every part: ``PYDAG_*`` variables, or a TOML file named by ``PYDAG_CONFIG``."""

from __future__ import annotations

import os
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import quote

from pydantic import AfterValidator, Field, StringConstraints, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from pydag_dist.dag import limits
from pydag_dist.errors import InvalidSettings
from pydag_dist.redis_url import RedisUrl


def _redis_url(text: str) -> str:
    RedisUrl.parse(text)
    return text


Webhook = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+([/?#]\S*)?$")]


class FileSettings(BaseSettings):
    """Settings that come from variables, and from a table of the file that PYDAG_CONFIG names."""

    table: ClassVar[str]  # "" for the file itself, without its tables that are others' settings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the base class's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """A variable first, then the file."""
        values = config_table(cls.table)
        return (init_settings, env_settings, InitSettingsSource(settings_cls, values))

    @classmethod
    def load(cls) -> Self:
        """The settings of this process; `InvalidSettings` names every wrong one."""
        try:
            return cls()
        except ValidationError as error:
            raise _wrong_settings(error, cls) from None


class Settings(FileSettings):
    """What every part of an installation must agree on. A variable beats the file."""

    model_config = SettingsConfigDict(env_prefix="PYDAG_", extra="forbid")
    table = ""

    redis_url: Annotated[str, AfterValidator(_redis_url)] = Field(
        default="redis://127.0.0.1:6379/0", description="the one Redis of all parts", repr=False
    )
    database_url: str | None = Field(
        default=None, description="history: sqlite:////file or postgresql://…", repr=False
    )
    home: Path = Field(default=Path("~/.pydag"), description="where embedded data lives")
    key_prefix: str = Field(default="pydag", pattern=r"^[A-Za-z0-9_.-]+$")
    retention: int = Field(
        default=7 * 86400,
        ge=limits.RETENTION[0],
        le=limits.RETENTION[1],
        description="seconds that an ended run stays in Redis",
    )
    lease: float = Field(
        default=15.0,
        ge=limits.LEASE[0],
        le=limits.LEASE[1],
        description="seconds after which a worker that is not heard of counts as dead",
    )
    dags: Path | None = Field(
        default=None, description="a folder whose DAG files coordinators publish"
    )
    webhooks: dict[str, Webhook] = Field(
        default={}, description="URLs that DAGs name in on_success and on_failure", repr=False
    )

    @property
    def history_url(self) -> str:
        """The history's database; a SQLite file in the home unless a URL is set."""
        file = self.home.expanduser() / "history.sqlite"
        return self.database_url or f"sqlite:///{quote(str(file))}"

    @property
    def has_history(self) -> bool:
        """Whether a database is named, or the one that coordinators of this host use is there."""
        try:
            return self.database_url is not None or (self.home / "history.sqlite").is_file()
        except OSError:  # another user's home
            return False


WORKER_TABLE = "worker"  # of the file
WEB_TABLE = "web"
# Those of a worker (workers/settings.py), and what the parts tell each other.
WORKER_SETTINGS = (
    "connections", "connection", "project", "location", "spark", "stores", "databases", "imports",
    "run_on",    "queues", "further_imports",
)  # fmt: skip
# Those of `pydag web` (web/settings.py).
WEB_SETTINGS = (
    "address", "port", "mode", "prefix", "proxies", "user_header", "groups_header", "groups",
    "default_role", "requests_per_second", "streams",
)  # fmt: skip
_ELSEWHERE = ("PYDAG_CONFIG", "PYDAG_REDIS_PASSWORD")  # the file; docker-compose.yaml
_ANYTHING = ("PYDAG_TEST_", "PYDAG_SECRET_")


def unknown_variables() -> list[str]:
    """A sentence for each ``PYDAG_*`` variable of this process that no part reads."""
    known = {f"PYDAG_{name}".upper() for name in Settings.model_fields}
    known |= {f"PYDAG_WORKER_{name}".upper() for name in WORKER_SETTINGS} | {*_ELSEWHERE}
    known |= {f"PYDAG_WEB_{name}".upper() for name in WEB_SETTINGS}
    told = []
    for name in sorted(os.environ):
        if name.startswith("PYDAG_") and not name.startswith(_ANYTHING) and name not in known:
            near = get_close_matches(name, sorted(known), n=1)
            told.append(f"nobody reads {name}" + (f": is {near[0]} meant?" if near else ""))
    return told


def load_settings() -> Settings:
    """The settings of this process; `InvalidSettings` names every wrong one."""
    try:
        settings = Settings.load()
        settings.home = settings.home.expanduser()
    except SettingsError as error:
        # The only variable that is not a plain value.
        raise InvalidSettings(
            f'PYDAG_WEBHOOKS must be JSON, such as {{"on-call": "https://…"}}: {error}'
        ) from None
    except RuntimeError:
        raise InvalidSettings(
            f"PYDAG_HOME is {settings.home}, and nobody knows what ~ is here: give a whole path"
        ) from None
    return settings


def config_table(table: str) -> dict[str, Any]:
    """A table of the file that PYDAG_CONFIG names; `InvalidSettings` if it can't be read.

    "" is the file itself, without the tables of workers and of `pydag web`.
    """
    values = _config_file()
    if not table:
        return {k: value for k, value in values.items() if k not in {WORKER_TABLE, WEB_TABLE}}
    found = values.get(table, {})
    if not isinstance(found, dict):
        raise InvalidSettings(f"[{table}] in {os.environ['PYDAG_CONFIG']} must be a table")
    return found


def _config_file() -> dict[str, Any]:
    config = os.environ.get("PYDAG_CONFIG")
    if not config:
        return {}
    try:
        return tomllib.loads(Path(config).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSettings(
            f"PYDAG_CONFIG names {config}, which can't be read ({error.strerror}): name a file, or "
            "unset PYDAG_CONFIG"
        ) from None
    except ValueError as error:
        raise InvalidSettings(
            f"PYDAG_CONFIG names {config}, which isn't TOML ({error}): mend the file"
        ) from None


def _wrong_settings(error: ValidationError, settings: type[FileSettings]) -> InvalidSettings:
    """Every problem of settings, and where each comes from: a variable, or a line of the file."""
    prefix, table = settings.model_config["env_prefix"], settings.table
    variables = {name.upper() for name in os.environ}
    written = config_table(table)
    told = []
    for problem in error.errors(include_url=False, include_input=False):
        path = [str(part) for part in problem["loc"]] or [""]
        name = ".".join(path)
        if path[0] in written and f"{prefix}{path[0]}".upper() not in variables:
            config = os.environ.get("PYDAG_CONFIG")
            where = f"[{table}] {name} in {config}" if table else f"{name} in {config}"
        else:
            where = f"{prefix}{name}".upper()
        what = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            what = "there is no such setting"
            if len(path) == 1 and (close := get_close_matches(name, settings.model_fields, n=1)):
                what += f"; {close[0]} is meant, maybe"
        told.append(f"{where}: {what}")
    return InvalidSettings("; ".join(told))
