"""The local BigQuery as a process, and the official client of it."""

from __future__ import annotations

import json
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests.support.process import Process
from tests.support.store_file import make_store_file

PROJECT = "local-project"


class LocalBigQuery(Process):
    """One service process over `directory`; after `kill()` or `stop()`, `start()` goes on there."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "bigquery"
        self.data.mkdir(exist_ok=True)
        if not (file := self.data / "bigquery.duckdb").exists():
            make_store_file(file)
        self.gcs_root = directory / "gcs"
        self.gcs_root.mkdir(parents=True, exist_ok=True)
        super().__init__([], directory / "bigquery.log")
        self._port = 0
        self._clients: list[bigquery.Client] = []

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()
        if self._process is not None:
            assert self.stop() == 0, self.text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> Self:
        self.command = [sys.executable, "-m", "pydag_emulators.bigquery"]
        self.command += ["--host", "127.0.0.1", "--port", str(self._port)]
        self.command += ["--data", str(self.data), "--gcs-root", str(self.gcs_root)]
        super().start()
        self._port = int(self.wait_line("listening on ").rpartition(":")[2])
        return self

    def kill(self) -> None:
        self.end(signal.SIGKILL)
        self._process = None

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        status = self.end()
        self._process = None
        return status

    def client(self, project: str = PROJECT, **options: Any) -> bigquery.Client:
        """A client that is closed with the service."""
        client = bigquery.Client(
            project=project,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.url},
            **options,
        )
        self._clients.append(client)
        return client

    def put(self, uri: str, data: bytes | str) -> Path:
        """Make `data` the object of a gs:// URI."""
        path = self.gcs_root / uri.removeprefix("gs://")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def journal(self) -> list[dict[str, Any]]:
        return self.call("GET", "/-/journal")["jobs"]

    def fault(self, **fault: Any) -> None:
        self.call("POST", "/-/faults", fault)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            raise
