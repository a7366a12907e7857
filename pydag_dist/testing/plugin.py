"""Fixtures of pytest: an embedded installation for the few tests that need one.

In the `conftest.py` of the tests' top folder: `pytest_plugins = ["pydag_dist.testing.plugin"]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

import pytest

from pydag_dist.client import Client
from pydag_dist.local import require_packages
from pydag_dist.local.home import Home
from pydag_dist.local.ports import Ports, free_port
from pydag_dist.local.stack import Stack
from pydag_dist.settings import FURTHER_IMPORTS

__all__ = ["pydag", "pydag_imports", "pydag_up"]


@pytest.fixture(scope="session")
def pydag_imports() -> Sequence[str]:
    """The modules that `python.call` may call; to be overridden."""
    return ()


@pytest.fixture(scope="session")
def pydag_up(
    tmp_path_factory: pytest.TempPathFactory, pydag_imports: Sequence[str]
) -> Iterator[Stack]:
    """What `pydag up` starts, without pages: once for all tests, in a folder of its own."""
    require_packages()
    home = Home(tmp_path_factory.mktemp("pydag"))
    with home.locked(), pytest.MonkeyPatch.context() as patch:
        patch.setenv(FURTHER_IMPORTS, ",".join(pydag_imports))
        stack = Stack(
            home, Ports(**{part.name: free_port() for part in fields(Ports)}), pages=False
        )
        try:
            stack.start(lambda: None)
            yield stack
        finally:
            stack.stop()


@pytest.fixture
def pydag(pydag_up: Stack, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client of it; Google's own clients, and `pydag`, find it, too, while the test runs."""
    for name, value in pydag_up.exports.items():
        monkeypatch.setenv(name, value)
    return Client(pydag_up.redis_url)
