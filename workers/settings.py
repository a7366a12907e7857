"""Settings of a worker: the table ``[worker]`` of ``PYDAG_CONFIG``, or ``PYDAG_WORKER_*``."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode, SettingsConfigDict

from pydag_dist.checked_settings import FileSettings
from pydag_dist.config_file import WORKER_TABLE
from pydag_dist.dag.text import patterns
from pydag_dist.settings import FURTHER_IMPORTS
from workers.errors import HostLacks

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_ACCOUNT = re.compile(r"[^@\s]+@[^@\s]+")
_FOLDER = r"(/[^\s./\\]+)*/?"
_STORE = re.compile(
    rf"gcs:\*|(gcs|s3):[a-z0-9_-]{{3,63}}{_FOLDER}|database:[^\s./\\]+{_FOLDER}|local:.+"
)

# In a variable, names stand between commas, and tables are JSON.
Names = Annotated[tuple[str, ...], NoDecode]


class Connection(BaseModel):
    """How to reach one Google project: a service account's key file, else ambient credentials.

    Either of them may act as another service account.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    project: str | None = None
    key_file: Path | None = None
    impersonate: str | None = Field(
        default=None, description="a service account that these credentials act as"
    )
    delegates: tuple[str, ...] = Field(
        default=(), description="accounts in between, each acting as the next"
    )
    location: str | None = Field(
        default=None, description="where BigQuery jobs of this connection run"
    )

    @field_validator("impersonate", "delegates")
    @classmethod
    def _accounts(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for account in [value] if isinstance(value, str) else value or ():
            if not _ACCOUNT.fullmatch(account):
                raise ValueError(f"{account!r} is not the e-mail address of a service account")
        return value

    @field_validator("key_file")
    @classmethod
    def _existing(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        path = value.expanduser().absolute()
        if not path.is_file():
            raise ValueError(f"{path} is not a file")
        return path


class WorkerSettings(FileSettings):
    """What this worker may do and with which credentials; a variable beats the file.

    None of it travels: messages and DAGs name connections, the worker alone resolves them.
    """

    model_config = SettingsConfigDict(env_prefix="PYDAG_WORKER_", extra="forbid", frozen=True)
    table = WORKER_TABLE

    connections: Annotated[dict[str, Connection], NoDecode] = Field(default_factory=dict)
    connection: str = Field(
        default="GCP", description="of tasks that name none; ambient if undefined"
    )
    project: str | None = Field(default=None, description="where jobs run if nothing else says so")
    location: str = Field(default="US", description="of BigQuery jobs if nothing else says so")
    spark: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict, description="settings of spark scripts"
    )
    stores: Names = Field(
        default=(), description="trusted: gcs:BUCKET/FOLDER, s3:…, database:…, local:DIR, gcs:*"
    )
    uploads: Names = Field(
        default=(), description="directories of this host whose files gcs.upload may read"
    )
    secrets: Path | None = Field(default=None, description="directory with a file for each secret")
    secret_project: str | None = Field(
        default=None,
        pattern=patterns.PROJECT,
        max_length=100,
        description="the project whose Secret Manager has secrets",
    )
    databases: Annotated[dict[str, SecretStr], NoDecode] = Field(
        default_factory=dict, description="of scripts: the URL of each, by its name"
    )
    run_on: float = Field(
        default=0.1,
        ge=0,
        le=10,
        description="seconds that a process goes on with short tasks before it takes a message",
    )
    estimates: bool = Field(
        default=True, description="dry-run queries of DAGs that editors of `pydag web` ask about"
    )
    imports: Names = Field(default=(), description="modules whose functions python.call may call")

    def connection_of(self, name: str | None) -> Connection | None:
        """That of a name, or the default one if that is defined; `HostLacks` if a name is not."""
        found = self.connections.get(self.connection if name is None else name)
        if found is None and name is not None:
            defined = ", ".join(sorted(self.connections)) or "none"
            raise HostLacks(
                f"connection {name} is not defined on this worker (defined: {defined}): add a "
                f"table [worker.connections.{name}] to its settings",
                f"connection:{name}",
            )
        return found

    @model_validator(mode="before")
    @classmethod
    def _further_imports(cls, values: dict[str, Any]) -> dict[str, Any]:
        further = _names(os.environ.get(FURTHER_IMPORTS, ""))
        given = _names(values.get("imports", ()))
        return values | {"imports": (*given, *further)} if further else values

    @field_validator("stores", "imports", "uploads", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _names(value)

    @field_validator("connections", "spark", "databases", mode="before")
    @classmethod
    def _decode(cls, value: Any) -> Any:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError(f"must be JSON: {error}") from None

    @field_validator("imports")
    @classmethod
    def _modules(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not _MODULE.fullmatch(name):
                raise ValueError(f"{name!r} is not a module's dotted name")
        return value

    @field_validator("stores")
    @classmethod
    def _stores(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for store in value:
            if not _STORE.fullmatch(store):
                raise ValueError(
                    f"{store!r} is none of gcs:BUCKET, s3:BUCKET and database:NAME, each perhaps "
                    "with /FOLDER, gcs:*, and local:DIRECTORY"
                )
        return value

    @field_validator("uploads")
    @classmethod
    def _directories(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for path in value:
            if not Path(path).is_absolute():
                raise ValueError(f"{path} is not the absolute path of a directory")
        return value


def _names(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value
