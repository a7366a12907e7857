"""A PostgreSQL server for tests: Debian's binary over a directory of its own, on a free port."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Self

import psycopg
import pytest

from tests.support import free_port
from tests.support.process import Process

MISSING = "PostgreSQL is missing: apt-get install -y postgresql"
# No superuser may run it, and whatever ends us ends it.
USER = "nobody"
AS_USER = [f"--reuid={USER}", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
LEASH = ["setpriv", *AS_USER, "--pdeathsig=TERM", "--"]


def binaries() -> Path:
    """Where the newest PostgreSQL is; without it tests are skipped, but fail where CI is true."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_version)
    if found:
        return found[-1].parent
    if os.environ.get("CI") == "true":
        pytest.fail(MISSING)
    pytest.skip(MISSING)


def _version(binary: Path) -> int:
    return int(binary.parts[-3])


class PostgresServer(Process):
    """Starts empty; can be killed and started again with what it has stored."""

    def __init__(self) -> None:
        self._bin = binaries()
        # Not one of pytest's directories: those are closed to other users.
        self._directory = Path(tempfile.mkdtemp(prefix="pydag-postgres-"))
        self._data = self._directory / "data"
        self.port = free_port()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
        }
        command = [*LEASH, self._bin / "postgres", "-D", self._data]
        command += [f"-c{name}={value}" for name, value in options.items()]
        super().__init__(command, self._directory / "log", cwd=Path("/"))

    def __enter__(self) -> Self:
        if AS_USER:
            shutil.chown(self._directory, USER)
        initdb = [self._bin / "initdb", "--pgdata", self._data, "--username=test", "--auth=trust"]
        initdb += ["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
        subprocess.run([*LEASH, *initdb], check=True, capture_output=True, cwd="/")
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._directory)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://test@127.0.0.1:{self.port}/{database}"

    def start(self) -> Self:
        super().start()
        self.wait_until(self._answers, "PostgreSQL answers")
        return self

    def kill(self) -> None:
        """End it at once, as a crash would, with all of its processes."""
        if self._process is not None:
            self.end(signal.SIGQUIT)  # without any clean-up, but for its children

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def ask_password_of(self, user: str) -> None:
        """From now on that user needs a password, and others than `test` and it get no access."""
        rules = f"host all test 127.0.0.1/32 trust\nhost all {user} 127.0.0.1/32 scram-sha-256\n"
        (self._data / "pg_hba.conf").write_text(rules)
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url()):
            return True
        return False
