"""The local BigQuery as a process, and the official client of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

PROJECT = "local-project"


class LocalBigQuery:
    """One service process over `directory`; after `kill()` or `stop()`, `start()` goes on there."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "bigquery"
        self.gcs_root = directory / "gcs"
        self.gcs_root.mkdir(parents=True, exist_ok=True)
        self._log = directory / "bigquery.log"
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self._clients: list[bigquery.Client] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()
        if self._process is not None:
            assert self.stop() == 0, self._log.read_text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        command = [sys.executable, "-m", "pydag_emulators.bigquery"]
        command += ["--host", "127.0.0.1", "--port", str(self._port)]
        command += ["--data", str(self.data), "--gcs-root", str(self.gcs_root)]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            line = stdout.readline()
        assert line.startswith("listening on "), line + self._log.read_text()
        self._port = int(line.rpartition(":")[2])

    def _signal(self, number: int) -> int:
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(number)
        return process.wait(120)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        return self._signal(signal.SIGTERM)

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
