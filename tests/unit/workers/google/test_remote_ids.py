from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.google.remote_ids import job_id, label

RULES = {
    "bigquery": r"[A-Za-z0-9_-]{1,1024}",
    "dataproc": r"[A-Za-z0-9_-]{1,100}",
    "request": r"[A-Za-z0-9_-]{1,40}",
    "batch": r"[a-z][a-z0-9-]{2,61}[a-z0-9]",
}
ids = st.from_regex(r"[A-Za-z0-9_.-]{1,200}", fullmatch=True)
tries = st.tuples(ids, ids, ids, st.integers(min_value=1, max_value=10**6))
services = st.sampled_from(sorted(RULES))


@given(services, tries)
def test_an_id_obeys_its_service(service, task_try):
    assert re.fullmatch(RULES[service], job_id(service, *task_try))


@given(services, tries, tries)
def test_two_tries_have_two_ids(service, one, other):
    assert (job_id(service, *one) == job_id(service, *other)) == (one == other)


@pytest.mark.parametrize("service", sorted(RULES))
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b", "c.d", 1), ("a", "b", "c-d", 1)),
        (("a", "b", "T", 1), ("a", "b", "t", 1)),
        (("a", "b-c", "d", 1), ("a-b", "c", "d", 1)),
        (("a", "b", "c", 1), ("a", "b", "c", 11)),
        (("a", "b", "x" * 200, 1), ("a", "b", "x" * 199 + "y", 1)),
    ],
)
def test_cutting_and_replacing_makes_no_two_alike(service, one, other):
    assert job_id(service, *one) != job_id(service, *other)


def test_ids_stay_as_they_are():
    """A worker of the next release must find the jobs of this one."""
    task_try = ("etl", "etl-20260101t000000-0123456789abcdef", "load.cars", 2)
    digest = "e64455f49f515f447243b574e92c3bb4"
    assert job_id("bigquery", *task_try) == (
        f"pydag-load-cars-2-etl-20260101t000000-0123456789abcdef-{digest}"
    )
    assert job_id("request", *task_try) == f"pydag-{digest}"


def test_an_id_can_be_read():
    made = job_id("dataproc", "etl", "etl-20260101t000000-0123456789abcdef", "load.cars", 1)
    assert made.startswith("pydag-load-cars-1-etl-20260101t000000-")


@given(ids)
def test_a_label_obeys_google(text):
    assert re.fullmatch(r"[a-z0-9_-]{1,63}", label(text))


@given(ids, ids)
def test_two_texts_have_two_labels(one, other):
    assert (label(one) == label(other)) == (one == other)


def test_a_label_that_is_one_stays():
    assert label("create_table-1") == "create_table-1"
    assert label("Create.Table") != label("create-table")
