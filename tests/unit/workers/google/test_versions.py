"""Which tables say of themselves whether they have changed."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from google.api_core.exceptions import NotFound

from tests.unit.workers.support import context
from workers.google.versions import read_tables, table_version
from workers.result_cache.cached_operator import NotCached

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Client:
    """Has one table."""

    def __init__(self, **fields):
        plain = {"table_type": "TABLE", "streaming_buffer": None, "created": AT, "modified": AT}
        self.table = SimpleNamespace(**(plain | {"num_rows": 1, "num_bytes": 8} | fields))

    def get_table(self, name, **_options):
        if name != "p.d.t":
            raise NotFound(name)
        return self.table


def version(**fields):
    return table_version(context(), Client(**fields), "p.d.t")


@pytest.mark.parametrize(
    "change",
    [
        {"created": AT.replace(second=1)},
        {"modified": AT.replace(microsecond=1000)},
        {"num_rows": 0},
        {"num_bytes": 9},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_change_makes_another_version(change):
    assert version() == version()
    assert version().changed == AT.timestamp()
    assert version(**change).state != version().state


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        *(
            ({"table_type": kind}, f"p.d.t is a {kind}")
            for kind in ("VIEW", "MATERIALIZED_VIEW", "EXTERNAL")
        ),
        ({"streaming_buffer": object()}, "p.d.t has rows in its streaming buffer"),
    ],
)
def test_what_changes_without_a_trace_is_not_cached(fields, why):
    with pytest.raises(NotCached, match=why):
        version(**fields)


def test_a_partition_is_as_new_as_its_table():
    assert table_version(context(), Client(), "p.d.t$20260131") == version()


def test_what_is_read_must_be_there():
    assert table_version(context(), Client(), "p.d.gone") is None
    with pytest.raises(NotCached, match=r"table p\.d\.gone is not there"):
        read_tables(context(), Client(), ["p.d.t", "p.d.gone"])
