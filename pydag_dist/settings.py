"""Settings of every part: ``PYDAG_*`` variables, or a TOML file named by ``PYDAG_CONFIG``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import Field, StringConstraints, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from pydag_dist.errors import InvalidSettings

Webhook = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+([/?#]\S*)?$")]


class Settings(BaseSettings):
    """What every part of an installation must agree on. A variable beats the file."""

    model_config = SettingsConfigDict(env_prefix="PYDAG_", extra="ignore")

    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0", description="the one Redis of all parts"
    )
    database_url: str | None = Field(
        default=None, description="history: sqlite:////file or postgresql://…"
    )
    log_store: str | None = Field(
        default=None, description="directory or gs://bucket/prefix of old logs"
    )
    home: Path = Field(default=Path("~/.pydag"), description="where embedded data lives")
    key_prefix: str = Field(default="pydag", pattern=r"^[A-Za-z0-9_.-]+$")
    retention: int = Field(
        default=7 * 86400, gt=0, description="seconds that an ended run stays in Redis"
    )
    webhooks: dict[str, Webhook] = Field(
        default={}, description="URLs that DAGs name in on_success and on_failure"
    )

    @property
    def history_url(self) -> str:
        """The history's database; a SQLite file in the home unless a URL is set."""
        file = self.home.expanduser() / "history.sqlite"
        return self.database_url or f"sqlite:///{quote(str(file))}"

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
        return (
            init_settings,
            env_settings,
            TomlConfigSettingsSource(settings_cls, os.environ.get("PYDAG_CONFIG")),
        )


def load_settings() -> Settings:
    """The settings of this process; `InvalidSettings` names every wrong one."""
    config = os.environ.get("PYDAG_CONFIG")
    if config and not Path(config).is_file():
        message = (
            f"PYDAG_CONFIG names {config}, which is not a file: create it or unset PYDAG_CONFIG"
        )
        raise InvalidSettings(message)
    try:
        settings = Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"PYDAG_{'.'.join(map(str, p['loc'])).upper()}: {p['msg']}" for p in error.errors()
        )
        raise InvalidSettings(problems) from None
    except SettingsError as error:
        # The only variable that is not a plain value.
        raise InvalidSettings(
            f'PYDAG_WEBHOOKS must be JSON, such as {{"on-call": "https://…"}}: {error}'
        ) from None
    settings.home = settings.home.expanduser()
    return settings
