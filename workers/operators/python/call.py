"""``python.call``: call a function of a module that this worker was started to call."""

from __future__ import annotations

import contextvars
import functools
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

from pydag_dist.dag.operators import PythonCall as PythonCallParams
from pydag_dist.dag.text.quote import with_article
from workers.contract.context import TaskContext, parsed_params
from workers.contract.operator import Operator
from workers.errors import HostLacks, TaskFailed
from workers.operators.python import coroutines
from workers.operators.python.modules import modules
from workers.pool import child, tracebacks


class PythonCall(Operator):
    """Params: ``callable`` ("module:function"), ``args`` and ``kwargs``.

    Whoever may submit a DAG must not thereby run any code of the host: only functions *defined
    in* an allowed module or below it are called, not what such a module happens to import.
    """

    def execute(self, context: TaskContext) -> Any:
        """The function's result, which must be JSON-able; what it raises goes through.

        Of one that ends by ``sys.exit(0)`` it is None.
        """
        params = parsed_params(context, PythonCallParams)
        function = resolve(params.callable, context.settings.imports)
        child.own().surroundings.renew()
        call = functools.partial(_called, params.callable, function, params.args, params.kwargs)
        # A copy, so that no decimal context or other context variable is there for the next.
        return contextvars.copy_context().run(call)


def _called(name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    process = os.getpid()
    try:
        result = function(*args, **kwargs)
        if result is not None and inspect.iscoroutinefunction(function):
            return coroutines.run(result)
    except BaseException as error:
        is_well = isinstance(error, SystemExit) and not error.code  # as a program's `main` ends
        if os.getpid() != process:
            _end_fork(None if is_well else error)
        if is_well:
            return None
        if isinstance(error, TypeError) and _is_of_the_call(error):
            raise TaskFailed(f"callable {name!r} can't be called so: {error}", final=True) from None
        raise
    if os.getpid() != process:
        _end_fork()
    if result is not None and inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TaskFailed(
            f"callable {name!r} returned {with_article(type(result).__name__)} that nobody "
            "awaits: make it `async def`, or let it run its coroutine with asyncio.run",
            final=True,
        )
    return result


def _is_of_the_call(error: TypeError) -> bool:
    """Whether the function can't take such arguments: then no line of it has run."""
    return error.__traceback__ is not None and error.__traceback__.tb_next is None


def _end_fork(error: BaseException | None = None) -> None:
    """End a process that the function forked, and that came back here beside the worker's own."""
    if error is not None:
        sys.stderr.write(tracebacks.cut(error))
    sys.stdout.flush()
    os._exit(error is not None)


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
        raise TaskFailed(f"module {module_name} has no function {function_name}", final=True)
    home = str(getattr(function, "__module__", None))
    if not _is_allowed(home, imports):
        raise TaskFailed(_forbidden(name, home, imports), final=True)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TaskFailed(
            f"callable {name!r} is a generator function, and calling it runs nothing: return a "
            "list, or what `yield` would yield in some other way",
            final=True,
        )
    return function  # type: ignore[no-any-return]


def _is_allowed(module: str, imports: tuple[str, ...]) -> bool:
    return any(module == allowed or module.startswith(f"{allowed}.") for allowed in imports)


def _forbidden(name: str, module: str, imports: tuple[str, ...]) -> str:
    return (
        f"callable {name!r} is of module {module}, which this worker may not call (allowed: "
        f"{', '.join(imports) or 'none'}): start the worker with --import {module}"
    )
