"""What the parts of `pydag up` share."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from pydag_dist.local import forked


def test_all_that_is_shared_is_there():
    assert [name for name in forked.SHARED if find_spec(name) is None] == []


def test_a_library_without_a_module_that_was_shared_ends_nothing(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(forked, "SHARED", ("json", "celery.of_a_version_to_come", "uuid"))
    looks = []
    forked.prepare(lambda: looks.append("look"))
    assert len(looks) == 3
