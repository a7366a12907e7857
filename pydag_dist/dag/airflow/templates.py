"""Templates of Airflow in the language of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydag_dist.dag.airflow.things import Result
from pydag_dist.dag.templates.parsing import parsed
from pydag_dist.dag.templates.texts import MARK

_EXPRESSION: Final = re.compile(r"\{\{-?(.*?)-?\}\}", re.DOTALL)
_TASK: Final = r"""(?:task_ids\s*=\s*)?['"]([\w.-]+)['"]\s*"""
_XCOM: Final = re.compile(
    rf"\b(?:ti|task_instance)\.xcom_pull\(\s*{_TASK}(?:,\s*key\s*=\s*['\"]return_value['\"]\s*)?\)"
)
_ADD: Final = re.compile(r"macros\.ds_add\(\s*(\w+)\s*,\s*(-?\d+)\s*\)")
_FORMAT: Final = re.compile(
    r"macros\.ds_format\(\s*(\w+)\s*,\s*(['\"])%Y-%m-%d\2\s*,\s*(['\"][^'\"]*['\"])\s*\)"
)
_STRFTIME: Final = re.compile(
    r"\b(logical_date|data_interval_(?:start|end))\.(?:strftime|format)\((['\"][^'\"]*%[^'\"]*['\"])\)"
)
_WORDS: Final[Mapping[str, str]] = {
    "ds_nodash": "ds | replace('-', '')",
    "ts": "logical_date",
    "execution_date": "logical_date",
    "dag.dag_id": "dag_id",
    "task.task_id": "task_id",
    "ti.task_id": "task_id",
    "dag_run.run_id": "run_id",
    "ti.try_number": "try_number",
    "task_instance.try_number": "try_number",
    "next_ds": "ds | add_days(1)",
    "yesterday_ds": "ds | add_days(-1)",
    "tomorrow_ds": "ds | add_days(1)",
}
_WORD: Final = re.compile(
    r"(?<![\w.'\"])("
    + "|".join(map(re.escape, sorted(_WORDS, key=len, reverse=True)))
    + r")(?![\w(.])"
)
_CONFIGURED: Final = re.compile(r"\b(?:var\.value|dag_run\.conf|var\.json)\.(\w+)")
_CONFIGURED_ITEM: Final = re.compile(
    r"\b(?:dag_run\.conf|var\.value|var\.json)(?:\.get\(|\[)\s*['\"](\w+)['\"]\s*[\])]"
)


def in_ours(text: str, macros: Mapping[str, Any]) -> tuple[str, str | None]:
    """A text with Airflow's templates in ours, and what is wrong with it then, if anything is.

    `macros`: values of the DAG's `user_defined_macros`.
    """
    if MARK not in text and "{%" not in text:
        return text, None
    made = _EXPRESSION.sub(lambda found: _expression(found[1].strip(), macros), text)
    if MARK not in made and "{%" not in made:
        return made, None
    try:
        parsed(made)
    except ValueError as error:
        return made, str(error)
    return made, None


def _expression(text: str, macros: Mapping[str, Any]) -> str:
    if isinstance(value := macros.get(text), str | int | float):
        return str(value)
    made = _XCOM.sub(lambda found: _result(found[1]), text)
    made = _ADD.sub(r"\1 | add_days(\2)", made)
    made = _FORMAT.sub(r"\1 | strftime(\3)", made)
    made = _CONFIGURED.sub(r"params.\1", _CONFIGURED_ITEM.sub(r"params.\1", made))
    made = _WORD.sub(lambda found: _WORDS[found[1]], made)
    made = _STRFTIME.sub(r"\1 | strftime(\2)", made)
    return f"{MARK} {made} }}}}"


def _result(task: str) -> str:
    return f"tasks.{task}.result" if task.isidentifier() else f"tasks['{task}'].result"


def param_name(name: str) -> str:
    """A name for a param of the DAG."""
    return re.sub(r"\W", "_", name, flags=re.ASCII) or "value"


def expression_of(result: Result) -> str:
    """A result as templates name it."""
    text = _result(result.task.task_id)
    for key in result.path:
        is_word = isinstance(key, str) and key.isidentifier()
        text += f".{key}" if is_word else f"[{key!r}]"
    return text
