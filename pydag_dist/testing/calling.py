"""Functions of `python.call` and `branch`, called in the test's own process."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from pydag_dist.dag.operators import BRANCH, PythonCall
from pydag_dist.dag.params.branch import Branch
from pydag_dist.dag.planning.results import by_condition, parsed
from pydag_dist.errors import TaskFailed
from pydag_dist.testing.stand_ins import MissingStandIn


def called(operator: str, params: Mapping[str, Any]) -> Any:
    """What the function returns, or the condition of a branch chooses; what it raises goes through.

    Here every module may be called: what a worker allows is a matter of its host. Of a function
    that ends by ``sys.exit(0)`` it is None.
    """
    try:
        return _called(operator, params)
    except SystemExit as error:
        if error.code:
            raise
        return None


def _called(operator: str, params: Mapping[str, Any]) -> Any:
    if operator == BRANCH:
        branch = parsed(operator, params, Branch)
        if "when" in branch.model_fields_set:
            return by_condition(branch)
        return _call(str(branch.callable), branch.args, branch.kwargs)
    call = parsed(operator, params, PythonCall)
    return _call(call.callable, call.args, call.kwargs)


def _call(name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute, None)
    except ImportError as error:  # a worker would give the task back
        raise MissingStandIn(
            f"callable {name!r} can't be imported here ({error}): let sys.path have its folder, or "
            "give something that stands in for the task"
        ) from None
    if not callable(function):
        raise TaskFailed(f"module {module} has no function {attribute}", final=True)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TaskFailed(f"callable {name!r} is a generator function", final=True)
    try:
        result = function(*args, **kwargs)
    except TypeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is None:  # of this call
            raise TaskFailed(f"callable {name!r} can't be called so: {error}", final=True) from None
        raise
    if inspect.iscoroutine(result):
        if inspect.iscoroutinefunction(function):
            return asyncio.run(result)
        result.close()
        raise TaskFailed(f"callable {name!r} returned a coroutine: make it `async def`", final=True)
    return result
