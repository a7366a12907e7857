"""Settings of `pydag web`: ``PYDAG_WEB_*`` variables, or the table ``[web]`` of the file."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints
from pydantic_settings import SettingsConfigDict

from pydag_dist.checked_settings import FileSettings
from pydag_dist.config_file import WEB_TABLE
from pydag_dist.dag.text import patterns
from pydag_dist.errors import InvalidSettings

Role = Literal["viewer", "operator", "editor", "admin"]
Mode = Literal["local", "tokens", "proxy"]
HeaderName = Annotated[str, StringConstraints(pattern=patterns.HEADER)]


class WebSettings(FileSettings):
    """Where `pydag web` listens, and whom it lets in. A variable beats the file."""

    model_config = SettingsConfigDict(env_prefix="PYDAG_WEB_", extra="forbid")
    table = WEB_TABLE

    address: str = Field(default="127.0.0.1", description="where it listens")
    port: int = Field(default=8080, ge=0, le=65535, description="0: any that is free")
    mode: Mode = Field(default="local", description="how browsers are let in")
    prefix: str = Field(
        default="",
        pattern=patterns.URL_PATH,
        description="path below which a proxy shows it, such as /pydag",
    )
    proxies: list[IPv4Network | IPv6Network] = Field(
        default=[], description="addresses whose headers are believed (mode proxy)"
    )
    user_header: HeaderName = Field(default="X-Forwarded-User")
    groups_header: HeaderName = Field(default="X-Forwarded-Groups")
    groups: Mapping[str, Role] = Field(
        default={}, description="the role of each group of the proxy's users"
    )
    default_role: Role | None = Field(
        default=None, description="the role of a proxy's user without such a group"
    )
    requests_per_second: float = Field(
        default=50, gt=0, description="of each user or token; five times as many in a burst"
    )
    files: Path | None = Field(
        default=None, description="the folder of DAG files that editors may read and change"
    )
    streams: int = Field(default=20, ge=1, description="live streams of each user or token")

    def check(self) -> None:
        """`InvalidSettings` if others could reach it whom it would let in, or a folder is away."""
        if self.files is not None and not self.files.is_dir():
            raise InvalidSettings(f"PYDAG_WEB_FILES is {self.files}, and there is no such folder")
        if self.mode == "local" and not is_loopback(self.address):
            raise InvalidSettings(
                f"PYDAG_WEB_ADDRESS is {self.address}, which other hosts reach, and PYDAG_WEB_MODE "
                "is local: set the mode to tokens, or to proxy"
            )
        if self.mode == "proxy" and not self.proxies:
            raise InvalidSettings(
                "PYDAG_WEB_MODE is proxy, and PYDAG_WEB_PROXIES is empty: name the addresses of "
                'the proxies whose headers are to be believed, such as ["10.0.0.7/32"]'
            )


def is_loopback(address: str) -> bool:
    """Whether only this host reaches that address."""
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
