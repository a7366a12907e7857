"""What the text of a query must say so that the tables of its dry run are all that it reads."""

from __future__ import annotations

import pytest

from pydag_dist.dag.operators import CACHED
from workers import operators
from workers.result_cache.cached_operator import CachedOperator, NotCached
from workers.result_cache.sql_sources import check_sources

TABLES = ("p.d.a", "p.d.b")

UNDERSTOOD = [
    "SELECT * FROM d.a JOIN d.b USING (id)",
    "SELECT * FROM `p.d.a`, `p`.`d`.`b` WHERE a.id = b.id",
    "SELECT x.id FROM p.d.a AS x, UNNEST([1, 2]) AS n, d.b y ORDER BY x.id, y.id",
    "WITH one AS (SELECT id FROM d.a), two AS (SELECT id FROM one) SELECT * FROM two, d.b",
    "SELECT * FROM (SELECT id, n FROM d.a) AS s, d.b",
    "SELECT * FROM (d.a JOIN d.b USING (id))",
    "SELECT EXTRACT(YEAR FROM day), EXTRACT(WEEK(MONDAY) FROM x.day) FROM d.a x, d.b",
    "SELECT a.id IS DISTINCT FROM b.id FROM d.a CROSS JOIN d.b",
    "SELECT 'it\\'s CURRENT_DATE FROM d.c', \"RAND()\", '''x' FROM y''' FROM d.a, d.b",
    "SELECT id /* FROM d.c */ FROM d.a -- , d.c\n, d.b # RAND()",
    "SELECT SAFE.PARSE_DATE('%F', x), NET.HOST(u), COUNT(*) FROM d.a, d.b GROUP BY 1, 2",
    "SELECT id FROM d.a WHERE id IN (SELECT id FROM d.b) AND n IN (1, 2)",
    "SELECT id FROM d.a UNION ALL SELECT id FROM d.b",
    "SELECT rand, model FROM d.a, d.b",
]


@pytest.mark.parametrize("sql", UNDERSTOOD)
def test_it_reads_those_tables(sql):
    check_sources(sql, TABLES)
    with pytest.raises(NotCached, match=r"its text doesn't name p\.d\.c"):
        check_sources(sql, (*TABLES, "p.d.c"))
    for table in TABLES:
        with pytest.raises(NotCached, match="is no table of the dry run"):
            check_sources(sql, [name for name in TABLES if name != table])


def test_names_of_with_that_are_read_are_returned():
    sql = "WITH one AS (SELECT id FROM d.a), two AS (SELECT 1) SELECT * FROM one, d.b"
    assert check_sources(sql, TABLES) == {"one"}


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT * FROM d.a, d.b, d.c", r"d\.c in its text"),
        ("SELECT * FROM d.a JOIN (d.b CROSS JOIN d.c) ON TRUE", r"d\.c in its text"),
        ("SELECT (SELECT MAX(id) FROM d.c) FROM d.a, d.b", r"d\.c in its text"),
        ("SELECT * FROM d.a, d.b, a.items", r"a\.items in its text"),
        ("SELECT * FROM `d.*`, d.a, d.b", r"d\.\* in its text"),
        ("SELECT * FROM other.a, d.a, d.b", r"other\.a in its text"),
        ("SELECT * FROM d.a, d.b, d.`a$20260131`", r"d\.a\$20260131 in its text"),
        ("SELECT * FROM d.a, d.b, EXTERNAL_QUERY('c', 'SELECT 1')", "EXTERNAL_QUERY in its text"),
        ("SELECT rand () FROM d.a, d.b", "rand in its text answers differently"),
        ("SELECT x-CURRENT_TIMESTAMP() FROM d.a, d.b", "CURRENT_TIMESTAMP in its text"),
        ("SELECT * FROM d.a FOR SYSTEM_TIME AS OF x, d.b", "SYSTEM_TIME in its text"),
        ("SELECT @@project_id FROM d.a, d.b", "@@project_id in its text"),
        ("SELECT d.f(id) FROM d.a, d.b", r"what d\.f does"),
        ("SELECT `p.d.f`(id) FROM d.a, d.b", r"what `p\.d\.f` does"),
        ("SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.a), d.b", r"what ML\.PREDICT does"),
    ],
)
def test_whatever_else_it_reads_is_told(sql, why):
    with pytest.raises(NotCached, match=why):
        check_sources(sql, TABLES)


def test_the_operators_that_can_be_cached_are_those_that_files_may_cache():
    found = {
        name
        for name in operators._OPERATORS
        if isinstance(operators.find(name), CachedOperator) and name != "bigquery.check"
    }
    assert found == CACHED
