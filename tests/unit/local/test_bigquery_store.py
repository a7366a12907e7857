"""The local BigQuery's file: what is in it when it is opened again."""

from __future__ import annotations

from pydag_emulators.bigquery.storage import store
from pydag_emulators.bigquery.storage.store import Store


def test_macros_are_defined_anew_when_they_are_others(tmp_path, monkeypatch):
    def answer(version, *macros):
        monkeypatch.setattr(store, "MACROS_VERSION", version)
        monkeypatch.setattr(store, "MACROS", macros)
        opened = Store(tmp_path / "file.duckdb")
        with opened.cursor() as cursor:
            answer = store.fetch_one(cursor, "SELECT bq_one()", [])
        opened.close()
        return answer

    assert answer("1", "CREATE OR REPLACE MACRO bq_one() AS 1") == (1,)
    assert answer("1", "CREATE OR REPLACE MACRO bq_one() AS 2") == (1,)
    assert answer("2", "CREATE OR REPLACE MACRO bq_one() AS 3") == (3,)
