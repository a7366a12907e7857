"""Settings as pydantic reads them: whatever is not plainly right, and those of workers."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from pydag_dist.config_file import KEY_PREFIX, LOG_STORE, config_table
from pydag_dist.dag import limits
from pydag_dist.dag.text import patterns
from pydag_dist.dag.text.messages import message
from pydag_dist.errors import InvalidSettings
from pydag_dist.receivers import Format, MailServer, Webhook
from pydag_dist.redis_url import RedisUrl


def _redis_url(text: str) -> str:
    RedisUrl.parse(text)
    return text


def _key_prefix(text: str) -> str:
    if not re.fullmatch(KEY_PREFIX, text) or text.endswith("\n"):
        raise ValueError("must be of the characters A-Z a-z 0-9 _ . -, one at least")
    return text


def _log_store(text: str) -> str:
    if not re.match(LOG_STORE, text):
        raise ValueError("must be a directory, or gs://BUCKET/PREFIX")
    return text


def _smtp_url(text: str) -> str:
    MailServer.parse(text)
    return text


_Address = Annotated[
    str,
    StringConstraints(pattern=patterns.EMAIL, max_length=254),
]


class _Receiver(BaseModel):
    """A webhook as settings write it: with a format, or a URL only."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(default="", pattern=patterns.URL)
    format: Format = "json"
    to: list[_Address] = Field(default=[], max_length=20)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"url": value}
        if isinstance(value, dict) and isinstance(value.get("to"), str):
            return value | {"to": [value["to"]]}
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.format == "email" and (self.url or not self.to):
            raise ValueError('of format "email" needs "to", one or more addresses, and no "url"')
        if self.format != "email" and (self.to or not self.url):
            raise ValueError(f'of format "{self.format}" needs "url", and no "to"')
        return self


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


class CheckedSettings(FileSettings):
    """The fields of `Settings`, which has their defaults, and what each may be."""

    model_config = SettingsConfigDict(env_prefix="PYDAG_", extra="forbid", validate_default=False)
    table = ""

    redis_url: Annotated[str, AfterValidator(_redis_url)] = ""
    database_url: str | None = None
    home: Path = Path()
    key_prefix: Annotated[str, AfterValidator(_key_prefix)] = ""
    retention: int = Field(default=0, ge=limits.RETENTION[0], le=limits.RETENTION[1])
    lease: float = Field(default=0, ge=limits.LEASE[0], le=limits.LEASE[1])
    dags: Path | None = None
    history_days: int | None = Field(default=None, ge=1, le=limits.HISTORY_DAYS)
    bigquery_price: float = Field(default=0, ge=0, le=1e6, allow_inf_nan=False)
    log_store: Annotated[str, AfterValidator(_log_store)] | None = None
    webhooks: dict[str, _Receiver] = Field(default={})
    smtp_url: Annotated[str, AfterValidator(_smtp_url)] | None = None
    smtp_from: _Address | None = None
    metrics: str | None = None
    traces_url: str | None = Field(default=None, pattern=patterns.URL)
    lineage_url: str | None = Field(default=None, pattern=patterns.URL)
    url: str | None = None
    token: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None


def checked() -> dict[str, Any]:
    """What variables and file say, by name; `InvalidSettings` names everything that is wrong."""
    try:
        found = CheckedSettings.load()
    except SettingsError as error:
        # The only variable that is not a plain value.
        raise InvalidSettings(
            f'PYDAG_WEBHOOKS must be JSON, such as {{"on-call": "https://…"}}: {error}'
        ) from None
    values = {name: getattr(found, name) for name in found.model_fields_set}
    if found.webhooks:
        values["webhooks"] = {
            name: Webhook(each.url, each.format, tuple(each.to))
            for name, each in found.webhooks.items()
        }
    return values


def _wrong_settings(error: ValidationError, model: type[FileSettings]) -> InvalidSettings:
    """Every problem of settings, and where each comes from: a variable, or a line of the file."""
    prefix, table = model.model_config["env_prefix"], model.table
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
        what = message(problem, with_value=False)
        if problem["type"] == "extra_forbidden":
            what = "there is no such setting"
            if len(path) == 1 and (close := get_close_matches(name, model.model_fields, n=1)):
                what += f"; {close[0]} is meant, maybe"
        told.append(f"{where}: {what}")
    return InvalidSettings("; ".join(told))
