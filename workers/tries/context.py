"""The context of a try: what its message's spec says, and what this worker lends to it."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from pydag_dist.dag.planning import rendering
from pydag_dist.dag.planning.rendering import Known
from pydag_dist.engine import Held
from pydag_dist.errors import EngineError, UnknownRun
from workers.contract.context import TaskContext
from workers.errors import TaskFailed, TryUnknown
from workers.pool.output.try_log import log_of_try
from workers.process import (
    PAUSE,
    UNKNOWN_FOR,
    engine,
    settings,
    until_redis_can,
    worker_settings,
)
from workers.secrecy import masks
from workers.tries.secrets import secrets_of

_OF_PARAMS = ("template", "expand")  # what only rendering needs

T = TypeVar("T")

_LARGE: dict[str, dict[str, Any]] = {}  # the run of the last task -> its large params


@contextlib.contextmanager
def task_context(held: Held, spec: dict[str, Any]) -> Iterator[TaskContext]:
    """The context of a try that runs here, whose log is sent when it ends.

    All that this process writes in here is the log of the try.
    """
    with log_of_try(held) as log:
        masks.hide_from_now(masks.NONE)  # what the try before has left was hidden until now
        yield context_of(held, spec, log)


def context_of(held: Held, spec: dict[str, Any], log: logging.Logger) -> TaskContext:
    """The context of a try; its params are not rendered."""
    return TaskContext(
        run_id=held.run,
        task_id=held.task,
        try_number=held.try_number,
        log=log,
        settings=worker_settings(),
        redis=engine().store.redis,
        key_prefix=settings().key_prefix,
        **{name: value for name, value in spec.items() if name not in _OF_PARAMS},
    )


def with_params(held: Held, spec: dict[str, Any], context: TaskContext) -> TaskContext:
    """The context with its params rendered; raises `TaskFailed` if a value is missing.

    `TryUnknown` if Redis has lost what the params need, and does not get it back.
    """
    if "template" not in spec:
        return context

    def results(tasks: Any) -> dict[str, Any]:
        try:
            return _until_known(partial(engine().working.results, held, tasks))
        except EngineError as error:
            raise TaskFailed(str(error), final=True) from None

    names = spec["template"].get("secrets")
    secrets = secrets_of(context, names) if names else {}
    params = rendered(held, spec, results, partial(_large, held.run), secrets)
    return replace(context, params=params)


def rendered(
    held: Held,
    spec: Mapping[str, Any],
    results: Known,
    large: Known,
    secrets: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """The params of a task's spec: see `rendering.rendered`, but it raises `TaskFailed`."""
    try:
        return rendering.rendered(held, spec, results, large, secrets)
    except rendering.Unrendered as error:
        raise TaskFailed(str(error), final=error.final) from None


def _until_known(call: Callable[[], T]) -> T:
    """The answer of a call, repeated while Redis has lost the run: a coordinator gives it back."""
    until = time.monotonic() + UNKNOWN_FOR
    while True:
        try:
            return until_redis_can(call)
        except UnknownRun as error:
            if time.monotonic() > until:
                raise TryUnknown(str(error)) from error
            time.sleep(PAUSE)


def _large(run: str, names: Sequence[str]) -> dict[str, Any]:
    """Large params of a run, which other tasks of the run in this process have asked for, too."""
    known = _LARGE.get(run, {})
    if missing := [name for name in names if name not in known]:
        texts = _until_known(partial(engine().working.planned_params, run, missing))
        known = known | {name: json.loads(text) for name, text in texts.items()}
        _LARGE.clear()
        _LARGE[run] = known
    return {name: known[name] for name in names if name in known}
