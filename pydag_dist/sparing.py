"""What a process of ours need not load."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any, Final

_UNUSED: Final = (
    "redis.asyncio",  # a third of what importing redis-py takes, in time and in memory
    "importlib.metadata",  # brings what parses e-mail; redis-py asks it for its own version
)


class _Later(ModuleType):
    """A module that is loaded when somebody asks for what is in it.

    One of `importlib.util.LazyLoader` is loaded by any `import`, since that looks at `__spec__`.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        assert self.__spec__  # noqa: S101  it was made of one
        assert self.__spec__.loader  # noqa: S101  see below
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def spare_unused() -> None:
    """Let what nobody uses in most processes be loaded when somebody uses it."""
    for name in _UNUSED:
        package, _, part = name.partition(".")
        parent = find_spec(package)
        if parent is None or name in sys.modules:
            continue
        spec = PathFinder.find_spec(name, parent.submodule_search_locations)
        if spec is not None and spec.loader is not None:
            sys.modules[name] = module = module_from_spec(spec)
            module.__class__ = _Later
            if package in sys.modules:  # else it takes the module as its own when it is imported
                setattr(sys.modules[package], part, module)


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """What is imported in here does without these packages, as where they are not installed.

    One that has been imported before stays.
    """
    hidden = [package for package in packages if package not in sys.modules]
    # None means that it is not there.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for package in hidden:
            del sys.modules[package]
