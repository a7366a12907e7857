"""Connections to the history's database: SQLite or PostgreSQL."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from pydag_dist.errors import HistoryError, InvalidSettings
from pydag_dist.history.tables import SCHEMA, STEP, VERSION_TABLE, meta, metadata
from pydag_dist.sparing import without

log = logging.getLogger(__name__)

# What SQLAlchemy raises while a database is away, full, locked or read-only.
LOST: Final = (sa.exc.DBAPIError, sa.exc.TimeoutError)

BUSY_SECONDS: Final = 10  # that SQLite waits for another process's lock
CONNECT_SECONDS: Final = 5
# PostgreSQL's host, and for it ours, counts as gone after 10 s without a sign of life.
_PROBES: Final = {"keepalives_idle": 4, "keepalives_interval": 2, "keepalives_count": 3}
_LINK: Final = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": 10_000, **_PROBES}
# Of a session: what a writer whose host is lost leaves there must not lock rows for hours.
_SESSION: Final = {
    "idle_in_transaction_session_timeout": "5s",
    "lock_timeout": "2s",
    "tcp_user_timeout": "10s",
    **{f"tcp_{name}": str(value) for name, value in _PROBES.items()},
}
# Of the lock that lets one process at a time create the tables in PostgreSQL.
_CREATION_LOCK: Final = 7_093_241_502
_CREATION_SECONDS: Final = 30  # that the others wait for it


def connect(url: str) -> sa.Engine:
    """An SQLAlchemy engine; nothing is opened yet. `InvalidSettings` if `url` can't be used."""
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # ValueError: of a port
        raise InvalidSettings(f"PYDAG_DATABASE_URL: {_KINDS}") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database:
        # As a URI, which makes no file where there is none: readers must not.
        parsed = parsed.set(drivername="sqlite", database=f"file:{quote(parsed.database)}")
        parsed = parsed.update_query_dict({"mode": "rw", "uri": "true"})
        engine = sa.create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "checkout", _check_sqlite)
        return engine
    if backend not in {"postgresql", "postgres"} or not 0 < (parsed.port or 5432) < 1 << 16:
        raise InvalidSettings(f"PYDAG_DATABASE_URL: {_KINDS}")
    try:
        _check_options(parsed)
        # Which driver "postgresql" alone means depends on SQLAlchemy's version.
        engine = sa.create_engine(
            parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, connect_args=_LINK
        )
    except ModuleNotFoundError:
        raise InvalidSettings(
            "PYDAG_DATABASE_URL: PostgreSQL needs psycopg: pip install 'pydag-dist[postgres]'"
        ) from None
    sa.event.listen(engine, "do_connect", _connect_postgresql)
    sa.event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _check_options(url: sa.URL) -> None:
    """Raises `InvalidSettings` for what PostgreSQL would refuse, which looks as if it were away."""
    from psycopg import ProgrammingError  # noqa: PLC0415  an extra
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415

    try:
        make_conninfo(**url.query)  # type: ignore[arg-type]
    except ProgrammingError as error:
        raise InvalidSettings(f"PYDAG_DATABASE_URL: {str(error).strip()}") from None
    if url.query.get("sslmode", "prefer") not in _SSL_MODES:
        raise InvalidSettings(f"PYDAG_DATABASE_URL: sslmode must be one of {', '.join(_SSL_MODES)}")


_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_KINDS: Final = "give sqlite:////path/to/history.sqlite or postgresql://user:password@host/database"


def _prepare_sqlite(connection: Any, record: Any) -> None:
    # What was committed survives a power cut, since the stream is trimmed after it.
    connection.execute("PRAGMA synchronous = FULL")
    (_, _, path) = connection.execute("PRAGMA database_list").fetchone()
    record.info["file"] = _identity(path)
    record.info["path"] = path


def _check_sqlite(_connection: object, record: Any, _proxy: object) -> None:
    """Have the pool close a connection to a file that was deleted or replaced."""
    if _identity(record.info["path"]) != record.info["file"]:
        raise sa.exc.DisconnectionError("the file was deleted or replaced")


def _identity(path: Path | str) -> tuple[int, int] | None:
    """Which file is there, by its device and inode; None without one."""
    try:
        found = os.stat(path)  # noqa: PTH116  each use of a connection pays for it
    except OSError:
        return None
    return found.st_dev, found.st_ino


def identity(engine: sa.Engine) -> tuple[int, int] | None:
    """Which file SQLite's database is now; None if it is gone, and for PostgreSQL."""
    return _identity(_file(engine)) if engine.dialect.name == "sqlite" else None


def _connect_postgresql(_dialect: object, _record: object, given: Any, options: Any) -> Any:
    from pydag_dist.history.postgresql import Connection  # noqa: PLC0415  psycopg is an extra

    return Connection.connect(*given, **options)


def _prepare_postgresql(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        for name, value in _SESSION.items():
            cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
    connection.commit()


def _file(engine: sa.Engine) -> Path:
    return Path(unquote(str(engine.url.database).removeprefix("file:")))


def create(engine: sa.Engine) -> None:
    """Create what is missing, and bring what an older version made up to date.

    `HistoryError` if it can't be, or if a newer version has made it.
    """
    if engine.dialect.name == "sqlite":
        file = _file(engine)
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.touch(mode=0o600)  # results are in it
        except OSError as error:
            raise HistoryError(
                f"the history's file {file} can't be written ({error.strerror}): set "
                "PYDAG_DATABASE_URL, or PYDAG_HOME"
            ) from None
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_CREATION_SECONDS}s'")
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATION_LOCK)))
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        found = _schema(connection)
        if found is not None and found > SCHEMA:
            raise HistoryError(
                f"the history in {where(engine)} was written by a newer version (schema {found}, "
                f"this version writes {SCHEMA}): run that version, or give this one a database of "
                "its own with PYDAG_DATABASE_URL"
            )
        # Whoever has nothing to do needs no right to create tables.
        if found != SCHEMA:
            if found is None:
                _make(connection)
            else:
                _upgrade(connection)
            log.info("the tables of schema %s are in %s", SCHEMA, where(engine))
        if connection.scalar(sa.select(sa.func.count()).select_from(meta)) == 0:
            row = {"schema": SCHEMA, "id": secrets.token_hex(8), "beat": 0}
            connection.execute(sa.insert(meta), row)
    if engine.dialect.name == "sqlite":
        # So that readers don't wait for the writer. It is refused, not queued, while others are at
        # work there; then one of them has done it, or the next one will.
        with contextlib.suppress(sa.exc.OperationalError), engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")


def _make(connection: sa.Connection) -> None:
    """All tables at once: as the steps of `migrations` make them, and without Alembic's 9 MB."""
    metadata.create_all(connection)
    connection.exec_driver_sql(
        f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
        f"CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
    )
    steps = sa.table(VERSION_TABLE, sa.column("version_num"))
    connection.execute(sa.insert(steps).values(version_num=STEP))


def _upgrade(connection: sa.Connection) -> None:
    # Alembic's templates would load all of Pygments' lexers, to colour their errors.
    with without("pygments"):
        from pydag_dist.history.migrations import upgrade  # noqa: PLC0415  few need Alembic

    upgrade(connection, meta)


def check(engine: sa.Engine) -> None:
    """`HistoryError` if this version can't read what is there."""
    with engine.connect() as connection:
        found = _schema(connection)
    if found != SCHEMA:
        has = "no tables yet" if found is None else f"schema {found}"
        do = "a coordinator of the same version brings an older one up to date when it starts"
        if found is not None and found > SCHEMA:
            do = "a newer version has written it; install that version here"
        raise HistoryError(
            f"the history in {where(engine)} has {has}, this version reads {SCHEMA}: {do}"
        )


def _schema(connection: sa.Connection) -> int | None:
    """The number of the version that made the tables; None without any."""
    if not sa.inspect(connection).has_table(meta.name):
        return None
    number: int | None = connection.scalar(sa.select(sa.func.max(meta.c.schema)))
    return number


def insert(engine: sa.Engine, table: sa.Table) -> Any:
    """An INSERT that knows ON CONFLICT, in the database's dialect."""
    make = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert
    return make(table)


def upsert(engine: sa.Engine, table: sa.Table, **special: Any) -> Insert:
    """INSERT a row, or UPDATE the one that is there if the new one's event is newer."""
    statement = insert(engine, table)
    keys = set(table.primary_key.columns.keys())
    columns = {c.name: statement.excluded[c.name] for c in table.c if c.name not in keys}
    return statement.on_conflict_do_update(  # type: ignore[no-any-return]
        index_elements=table.primary_key.columns.keys(),
        set_=columns | {name: make(statement.excluded) for name, make in special.items()},
        where=table.c.event < statement.excluded.event,
    )


def where(engine: sa.Engine) -> str:
    """The database's place, for people; a SQLite file's with its host."""
    if engine.dialect.name == "sqlite":
        return f"{_file(engine).absolute()} on {socket.gethostname()}"
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=True)
