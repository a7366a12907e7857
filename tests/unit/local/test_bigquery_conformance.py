"""The local BigQuery answers as GoogleSQL's documentation says: see `conformance/README.md`."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydag_emulators.bigquery.errors import ApiError
from tests.support.local_queries import Case, LocalQueries, answer_of, answers_of, read_cases

_FOLDER = Path(__file__).parent / "conformance"
_FILES = sorted(path.stem for path in _FOLDER.glob("*.txt"))
_TOGETHER = 30  # a query costs more than what it selects


@pytest.mark.parametrize("family", _FILES)
def test_answers(queries: LocalQueries, family: str) -> None:
    cases = read_cases(_FOLDER / f"{family}.txt")
    assert cases
    right = _right_together(queries, [case for case in cases if case.is_value])
    wrong = [
        f"{case.where}: {case.sql}\n    {problem}"
        for case in cases
        if case not in right and (problem := _problem(queries, case))
    ]
    assert not wrong, "\n".join(wrong)


def _right_together(queries: LocalQueries, cases: list[Case]) -> set[Case]:
    """The cases of which one query of many has the answer that it should have."""
    right: set[Case] = set()
    for start in range(0, len(cases), _TOGETHER):
        some = cases[start : start + _TOGETHER]
        try:
            answers = answers_of(queries, some)
        except ApiError:
            continue  # each alone, then
        for case, answer in zip(some, answers, strict=True):
            if answer == (case.type, case.value):
                right.add(case)
    return right


def _problem(queries: LocalQueries, case: Case) -> str:
    """What is wrong with the answer; empty if it is right."""
    try:
        type_, value = answer_of(queries, case)
    except ApiError as error:
        if case.type != "ERROR":
            return f"is refused: {error.reason}: {error}"
        if error.reason not in ("invalidQuery", "invalid"):
            return f"should be an error of the query, but is {error.reason}: {error}"
        return "" if case.value in str(error) else f"has another message: {error}"
    if (type_, value) != (case.type, case.value):
        return f"should be {case.type} {case.value}, but is {type_} {value}"
    return ""
