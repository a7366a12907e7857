"""The local BigQuery's store in this process, one for all tests: they leave nothing in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pydag_emulators.bigquery.storage.store import Cursor, Store
from tests.support.local_queries import LocalQueries
from tests.support.store_file import make_store_file


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(make_store_file(tmp_path_factory.mktemp("store") / "store.duckdb"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def cursor(store: Store) -> Iterator[Cursor]:
    with store.cursor() as opened:
        yield opened


@pytest.fixture(scope="session")
def queries(store: Store) -> LocalQueries:
    return LocalQueries(store)
