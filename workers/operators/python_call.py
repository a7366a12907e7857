"""``python.call``: call a function of a module that this worker was started to call."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

from pydag_dist.dag.operators import PythonCall as PythonCallParams
from workers.errors import TaskFailed
from workers.logs import captured_output
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


@functools.cache
def resolve(name: str, imports: tuple[str, ...]) -> Callable[..., Any]:
    """The function named "module:function"; `TaskFailed` before any import if it's not allowed."""
    module_name, _, function_name = name.partition(":")
    _check_allowed(name, module_name, imports)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise TaskFailed(f"callable {name!r}: {error}; install it on this worker") from None
    function = getattr(module, function_name, None)
    if not callable(function):
        raise TaskFailed(f"module {module_name} has no function {function_name}")
    _check_allowed(name, str(getattr(function, "__module__", None)), imports)
    return function  # type: ignore[no-any-return]


def _check_allowed(name: str, module: str, imports: tuple[str, ...]) -> None:
    if any(module == allowed or module.startswith(f"{allowed}.") for allowed in imports):
        return
    allowed = ", ".join(imports) or "none"
    raise TaskFailed(
        f"callable {name!r} is of module {module}, which this worker may not call (allowed: "
        f"{allowed}): start the worker with --import {module}"
    )
