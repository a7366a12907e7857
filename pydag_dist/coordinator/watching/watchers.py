"""Those who watch, as the settings say."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote

from pydag_dist.coordinator.line import Line
from pydag_dist.coordinator.watching.lineage import Lineage
from pydag_dist.coordinator.watching.outbox import Outbox
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
        self._told: list[Callable[[Batch], Any]] = []
        if settings.metrics:
            self._serve_metrics(settings.metrics, engine)
        if settings.traces_url:
            self._send_traces(settings, settings.traces_url, history, stopping)
        if settings.lineage_url:
            self._send_lineage(settings, settings.lineage_url, history, stopping)

    def written(self, batch: Batch) -> None:
        """Tell all of them; what goes wrong there holds up nobody."""
        for told in self._told:
            try:
                told(batch)
            except Exception:
                log.exception("what the history has got was not told to all who watch")

    def _serve_metrics(self, where: str, engine: Engine) -> None:
        _need("prometheus_client", "metrics")
        from pydag_dist.coordinator.watching.metrics import Metrics  # noqa: PLC0415  an extra

        address, port = metrics_address(where)
        metrics = Metrics(engine)
        log.info("metrics are at http://%s:%d/metrics", address, metrics.serve(address, port))
        self._told.append(metrics.written)

    def _send_traces(
        self, settings: Settings, url: str, history: History, stopping: threading.Event
    ) -> None:
        _need("opentelemetry.proto", "traces")
        from pydag_dist.coordinator.watching.traces import HEADERS, Traces  # noqa: PLC0415

        traces = Traces(history, os.environ.get("OTEL_SERVICE_NAME", settings.key_prefix))
        line = _line("PYDAG_TRACES_URL", url, HEADERS | _headers())
        outbox = Outbox("traces", line, traces.bodies, stopping)
        self.loops["traces"] = outbox.run
        self._told.append(lambda batch: outbox.put_all(traces.chosen(batch)))

    def _send_lineage(
        self, settings: Settings, url: str, history: History, stopping: threading.Event
    ) -> None:
        namespace = os.environ.get("OPENLINEAGE_NAMESPACE", settings.key_prefix)
        lineage, key = Lineage(history, namespace), os.environ.get("OPENLINEAGE_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        line = _line("PYDAG_LINEAGE_URL", url, headers)
        outbox = Outbox("lineage", line, lineage.bodies, stopping)
        self.loops["lineage"] = outbox.run
        self._told.append(lambda batch: outbox.put_all(lineage.chosen(batch)))


def metrics_address(text: str) -> tuple[str, int]:
    """Of "PORT", which is on this host only, or "ADDRESS:PORT"; `InvalidSettings`."""
    address, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidSettings(
            f"--metrics and PYDAG_METRICS are a port, such as 9464, or an address and a port, such "
            f"as 0.0.0.0:9464, not {text!r}"
        )
    return address.strip("[]") or "127.0.0.1", int(port)


def _line(setting: str, url: str, headers: Mapping[str, str]) -> Line:
    try:
        return Line(url, headers)
    except ValueError:  # of a port
        raise InvalidSettings(f"{setting} must be a URL such as http://host:4318/path") from None


def _headers() -> dict[str, str]:
    """As OpenTelemetry's own variable has them: "name=value,name=value", percent-encoded."""
    pairs = os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "").split(",")
    named = (pair.partition("=") for pair in pairs if "=" in pair)
    return {name.strip(): unquote(value.strip()) for name, _, value in named}


def _need(package: str, extra: str) -> None:
    try:
        is_there = find_spec(package) is not None
    except ModuleNotFoundError:  # a package around it
        is_there = False
    if not is_there:
        raise PydagError(
            f"{extra} need the package {package}: pip install 'pydag-dist[{extra}]' for the "
            "coordinator"
        )
