"""Params of a task's spec, rendered with what is known when a try begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from pydag_dist.dag.templates.parsing import parsed
from pydag_dist.dag.templates.texts import MARK, at_path
from pydag_dist.dag.text.strict_json import dotted

if TYPE_CHECKING:
    from pydag_dist.dag.templates.rendering import Rendering

HIDDEN: Final = "***"  # what is shown of a secret
Known = Callable[[Sequence[str]], dict[str, Any]]


class Unrendered(ValueError):
    """Params that can't be rendered: `final` if no later try of the task could, either."""

    def __init__(self, message: str, *, final: bool) -> None:
        super().__init__(message)
        self.final = final


class Try(Protocol):
    """A try of a task."""

    @property
    def run(self) -> str:
        """The id of its run."""

    @property
    def task(self) -> str:
        """The id of its task."""

    @property
    def try_number(self) -> int:
        """The number of the try."""


def rendered(
    of_try: Try,
    spec: Mapping[str, Any],
    results: Known,
    large: Known,
    secrets: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """The params of a task's spec, with values in the place of templates.

    `results` is asked once for the results of tasks by their ids, `large` for params of the run
    by their names that the spec does not have. What is rendered is not looked
    at again: no value of a run becomes a template. Raises `Unrendered` if a value is missing, or if
    all templates together take too much. In place of secrets that are not given, `HIDDEN` stands.
    """
    params: dict[str, Any] = spec["params"]
    if "template" not in spec:
        return params
    from pydag_dist.dag.templates.rendering import Rendering  # noqa: PLC0415  imported by few tasks

    names, rendering = _names(of_try, spec, results, large), Rendering()
    names["secrets"] = dict.fromkeys(spec["template"].get("secrets", ()), HIDDEN) | {**secrets}
    return {key: _render(value, names, rendering, (key,)) for key, value in params.items()}


def _names(of_try: Try, spec: Mapping[str, Any], results: Known, large: Known) -> dict[str, Any]:
    from pydag_dist.dag.templates.rendering import Params  # noqa: PLC0415  imported by few tasks

    template = spec["template"]
    kept = template.get("large")
    expand = spec.get("expand")
    listed = [expand["over"]] if expand and "over" in expand else []
    wanted = [*template["tasks"], *listed]
    known = results(wanted) if wanted else {}
    params = template["params"] | (large(kept) if kept else {})
    names = {
        "tasks": {task: {"result": known[task]} for task in template["tasks"]},
        "params": Params(params),
        "run_id": of_try.run,
        "dag_id": spec["dag_id"],
        "task_id": of_try.task,
        "try_number": of_try.try_number,
        "logical_date": template["logical_date"],
        "ds": template["logical_date"][: len("2026-01-31")],
        "data_interval_start": template.get("data_interval_start"),  # there if a template names it
        "data_interval_end": template["logical_date"],
    }
    if expand:
        index = int(of_try.task.rpartition(".")[2])
        names |= {"item": _item(expand, known, params, index), "index": index}
    return names


def _item(
    expand: Mapping[str, Any], results: Mapping[str, Any], params: Mapping[str, Any], index: int
) -> Any:
    if "items" in expand:
        return expand["items"][index]
    if "param" in expand:
        return at_path(params[expand["param"]], [*expand["path"], index])
    try:
        return at_path(results[expand["over"]], [*expand["path"], index])
    except LookupError:
        raise Unrendered(
            f"the result of {expand['over']} has no item {index} any more: "
            f"resume the run from {expand['over']}",
            final=True,
        ) from None


def _render(
    value: Any, names: Mapping[str, Any], rendering: Rendering, path: tuple[str | int, ...]
) -> Any:
    if isinstance(value, str) and MARK in value:
        try:
            return parsed(value).render(names, rendering)
        except ValueError as error:
            # With the number of the try in it, the next one may be another text.
            message = f"{dotted(('params', *path))}: template {error}"
            raise Unrendered(message, final="try_number" not in value) from None
    if isinstance(value, dict):
        return {key: _render(item, names, rendering, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_render(item, names, rendering, (*path, place)) for place, item in enumerate(value)]
    return value
