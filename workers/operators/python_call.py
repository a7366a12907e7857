"""``python.call``: call a function of a module that this worker was started to call."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from pydag_dist.dag.operators import PythonCall as PythonCallParams
from workers.errors import HostLacks, TaskFailed
from workers.logs import captured_output
from workers.modules import modules
from workers.operators.base import Operator, TaskContext, parsed_params


class PythonCall(Operator):
    """Params: ``callable`` ("module:function"), ``args`` and ``kwargs``.

    Whoever may submit a DAG must not thereby run any code of the host: only functions *defined
    in* an allowed module or below it are called, not what such a module happens to import.
    """

    def execute(self, context: TaskContext) -> Any:
        """The function's result, which must be JSON-able; what it raises goes through."""
        params = parsed_params(context, PythonCallParams)
        function = resolve(params.callable, context.settings.imports)
        with captured_output(context.log):
            return function(*params.args, **params.kwargs)


def resolve(name: str, imports: tuple[str, ...]) -> Callable[..., Any]:
    """The function named "module:function", as its file is now.

    `HostLacks` before any import if it's not allowed here, or if its module can't be loaded.
    """
    loaded = modules(imports)
    loaded.refresh()
    return _resolve(name, imports, loaded.generation)


@functools.lru_cache(maxsize=1000)
def _resolve(name: str, imports: tuple[str, ...], _generation: int) -> Callable[..., Any]:
    module_name, _, function_name = name.partition(":")
    if not _is_allowed(module_name, imports):
        raise HostLacks(_forbidden(name, module_name, imports), f"module:{module_name}")
    module = modules(imports).get(module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise TaskFailed(f"module {module_name} has no function {function_name}")
    home = str(getattr(function, "__module__", None))
    if not _is_allowed(home, imports):
        raise TaskFailed(_forbidden(name, home, imports))
    return function  # type: ignore[no-any-return]


def _is_allowed(module: str, imports: tuple[str, ...]) -> bool:
    return any(module == allowed or module.startswith(f"{allowed}.") for allowed in imports)


def _forbidden(name: str, module: str, imports: tuple[str, ...]) -> str:
    return (
        f"callable {name!r} is of module {module}, which this worker may not call (allowed: "
        f"{', '.join(imports) or 'none'}): start the worker with --import {module}"
    )
