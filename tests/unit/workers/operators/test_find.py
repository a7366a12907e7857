from __future__ import annotations

import importlib.metadata

import pytest

from workers import operators
from workers.errors import TaskFailed
from workers.operators import Operator, find


class Echo(Operator):
    def execute(self, context):
        return context.params


class NoOperator:
    pass


@pytest.fixture
def registered(monkeypatch):
    def entry_points(group, name):
        assert group == "pydag.operators"
        classes = {"acme.echo": "Echo", "acme.wrong": "NoOperator"}
        if name not in classes:
            return ()
        value = f"{__name__}:{classes[name]}"
        return (importlib.metadata.EntryPoint(name, value, group),)

    monkeypatch.setattr(operators, "entry_points", entry_points)
    find.cache_clear()
    yield
    find.cache_clear()


@pytest.mark.usefixtures("registered")
def test_operators_of_other_packages_are_found():
    assert type(find("acme.echo")).__name__ == "Echo"
    assert find("acme.echo") is find("acme.echo")


@pytest.mark.usefixtures("registered")
def test_what_is_no_operator_is_refused():
    with pytest.raises(TaskFailed, match=r"'acme.wrong' is a NoOperator"):
        find("acme.wrong")


def test_an_unknown_operator_is_explained():
    with pytest.raises(TaskFailed, match=r"no operator 'no.such' on this worker: .*python\.call"):
        find("no.such")
