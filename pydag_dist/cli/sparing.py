"""What a process of ours need not load."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """A module that is loaded when somebody asks for what is in it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        assert self.__spec__  # noqa: S101  it was made of one
        assert self.__spec__.loader  # noqa: S101  see below
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def spare_asyncio() -> None:
    """Let redis-py load its half for asyncio when somebody uses it: here nobody does.

    It is a third of what importing redis-py takes, in time and in memory.
    """
    package, name = find_spec("redis"), "redis.asyncio"
    if package is None or "redis" in sys.modules:
        return
    spec = PathFinder.find_spec(name, package.submodule_search_locations)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    module.__class__ = _Later
    sys.modules[name] = module
