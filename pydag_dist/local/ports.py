"""Where the parts of the embedded stack listen."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.request import getproxies_environment

from pydag_dist.errors import LocalServiceError

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Ports:
    """The ports that were asked for; None is the usual one, or any other if that is busy."""

    redis: int | None = None
    gcs: int | None = None
    bigquery: int | None = None
    dataproc: int | None = None
    flower: int | None = None
    web: int | None = None

    def chosen(self) -> Ports:
        """A port for every part; `LocalServiceError` names those asked for that are busy."""
        usual = {
            "redis": 6379,
            "gcs": 4443,
            "bigquery": 9050,
            "dataproc": 9060,
            "flower": 5555,
            "web": 8080,
        }
        busy = [
            f"port {port} (--{name}-port) is busy"
            for name in usual
            if (port := getattr(self, name)) and not _is_free(port)
        ]
        if busy:
            raise LocalServiceError(
                f"{'; '.join(busy)}: give another one, or none at all to get a free one"
            )
        return Ports(
            **{
                name: getattr(self, name) or (port if _is_free(port) else free_port())
                for name, port in usual.items()
            }
        )


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        # As servers do: connections that were closed a moment ago don't count.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port


def past_proxies() -> dict[str, str]:
    """Variables by which programs ask no proxy for this machine; none if they have no proxy."""
    proxies = getproxies_environment()
    asked = [name.strip() for name in proxies.pop("no", "").split(",") if name.strip()]
    if not proxies or asked == ["*"]:
        return {}
    names = ",".join(dict.fromkeys([*asked, HOST, "localhost"]))
    return {"NO_PROXY": names, "no_proxy": names}
