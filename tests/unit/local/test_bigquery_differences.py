"""`docs/google-differences.md`, line by line: what is refused is refused, what differs does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pydag_emulators.bigquery.errors import ApiError
from pydag_emulators.bigquery.work.kinds import CHECKS
from tests.support.local_queries import Case, LocalQueries, answer_of

_PAGE = Path(__file__).parents[3] / "docs" / "google-differences.md"
_CODE = re.compile(r"(`+)(.+?)\1")


def _rows(heading: str, columns: int) -> list[list[str]]:
    """The examples in the first table behind a line of the page: all cells but the first."""
    _, found, rest = _PAGE.read_text().partition(heading)
    assert found, heading
    lines = rest[rest.index("\n|") + 1 :].splitlines()
    table = lines[2 : next(at for at, line in enumerate(lines) if not line.startswith("|"))]
    table = [line.replace(r"\|", "|") for line in table]  # in a table's cell
    rows = [[code for _, code in _CODE.findall(line)][-columns:] for line in table]
    assert len(rows) == len({row[0] for row in rows})
    return rows


def test_what_is_refused(queries: LocalQueries) -> None:
    wrong = []
    for (sql,) in _rows("## What the local BigQuery refuses", 1):
        try:
            queries.run(sql)
            wrong.append(f"{sql}: works")
        except ApiError as error:
            if error.status != 501 or "a mistake in it" in str(error):
                wrong.append(f"{sql}: {error.reason}: {error}")
    assert not wrong, "\n".join(wrong)


def test_jobs_that_are_refused() -> None:
    for (text,) in _rows("Of the REST API these are refused", 1):
        configuration = json.loads(text)
        (kind,) = configuration
        with pytest.raises(ApiError) as refused:
            CHECKS[kind](configuration)
        assert refused.value.status == 501, text


def test_what_differs_without_an_error(queries: LocalQueries) -> None:
    for sql, answer in _rows("## What differs without an error", 2):
        columns, rows = answer_of(queries, Case("", sql, "", ""))
        value = json.dumps(json.loads(rows)[0][0])
        assert f"{columns.removeprefix('f0_ ')} {value}" == answer, sql
