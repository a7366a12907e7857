"""Those who watch, as the settings say."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from importlib.util import find_spec

from pydag_dist.engine import Engine
from pydag_dist.errors import InvalidSettings, PydagError
from pydag_dist.history import Batch, History
from pydag_dist.settings import Settings

log = logging.getLogger(__name__)


class Watchers:
    """Are told of each batch of the history that is written, and have loops of their own.

    `PydagError` if a package is missing that the settings need, or if a port is taken.
    """

    def __init__(
        self, settings: Settings, engine: Engine, history: History, stopping: threading.Event
    ) -> None:
        self.loops: dict[str, Callable[[], None]] = {}  # by the names of their threads
        self._told: list[Callable[[Batch], None]] = []
        if settings.metrics:
            _need("prometheus_client", "metrics")
            from pydag_dist.coordinator.watching.metrics import Metrics  # noqa: PLC0415  an extra

            address, port = metrics_address(settings.metrics)
            metrics = Metrics(engine)
            log.info("metrics are at http://%s:%d/metrics", address, metrics.serve(address, port))
            self._told.append(metrics.written)
        del history, stopping

    def written(self, batch: Batch) -> None:
        """Tell all of them; what goes wrong there holds up nobody."""
        for told in self._told:
            try:
                told(batch)
            except Exception:
                log.exception("what the history has got was not told to all who watch")


def metrics_address(text: str) -> tuple[str, int]:
    """Of "PORT", which is on this host only, or "ADDRESS:PORT"; `InvalidSettings`."""
    address, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidSettings(
            f"--metrics and PYDAG_METRICS are a port, such as 9464, or an address and a port, such "
            f"as 0.0.0.0:9464, not {text!r}"
        )
    return address.strip("[]") or "127.0.0.1", int(port)


def _need(package: str, extra: str) -> None:
    if find_spec(package.partition(".")[0]) is None or find_spec(package) is None:
        raise PydagError(
            f"{extra} need the package {package}: pip install 'pydag-dist[{extra}]' for the "
            "coordinator"
        )
