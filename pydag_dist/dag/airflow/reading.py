"""From an Airflow file to DAGs of ours, and notes of all that did not come over."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydag_dist.dag import limits
from pydag_dist.dag.airflow.operators.arguments import Arguments, NotTaken
from pydag_dist.dag.airflow.operators.bigquery import BIGQUERY
from pydag_dist.dag.airflow.operators.checks import CHECKS
from pydag_dist.dag.airflow.operators.dataproc import DATAPROC
from pydag_dist.dag.airflow.operators.ddl import DDL
from pydag_dist.dag.airflow.operators.gcs import GCS
from pydag_dist.dag.airflow.operators.others import NOTHING, OTHERS, stand_in
from pydag_dist.dag.airflow.program import Program
from pydag_dist.dag.airflow.templates import expression_of, param_name
from pydag_dist.dag.airflow.things import AirflowDag, Date, Note, Result, Span, Task, Unknown
from pydag_dist.dag.airflow.values import TooMuch
from pydag_dist.dag.fields import TriggerRule
from pydag_dist.dag.model import Dag
from pydag_dist.dag.templates.parsing import parsed
from pydag_dist.dag.templates.texts import templates
from pydag_dist.errors import InvalidDag, PydagError

MOST_BYTES: Final = 2_000_000  # of a file
_OPERATORS: Final = {**BIGQUERY, **CHECKS, **DDL, **DATAPROC, **GCS, **OTHERS}
_ID: Final = re.compile(r"[^A-Za-z0-9_.-]")
# What means nothing here, and loses nothing.
_IGNORED: Final = (
    "dag", "doc_md", "doc", "doc_json", "doc_yaml", "doc_rst", "owner", "start_date",
    "do_xcom_push", "task_display_name", "ui_color", "map_index_template",
    "retry_exponential_backoff", "priority_weight", "weight_rule", "impersonation_chain",
    "end_date", "email_on_failure", "email_on_retry",
)  # fmt: skip
_NUMBERS: Final = {
    "max_active_tasks": "processors", "concurrency": "processors",
    "max_active_runs": "max_active_runs",
}  # fmt: skip
_OF_DAG: Final = frozenset(
    {"doc_md", "default_view", "orientation", "dag_display_name", "fail_stop", "fail_fast",
     "is_paused_upon_creation", "max_consecutive_failed_dag_runs", "user_defined_macros"}
)  # fmt: skip


@dataclass(frozen=True)
class Converted:
    """A DAG in our form, checked as far as possible, and what did not come over."""

    content: dict[str, Any]
    notes: list[Note]
    dag: Dag | None  # None: it has problems, which are among the notes


def converted(text: str, module: str) -> list[Converted]:
    """The DAGs of an Airflow file; nothing of it is run. Raises `PydagError` if it can't be read.

    `module`: what the file is called without its ``.py``, for the functions in it.
    """
    if len(text) > MOST_BYTES:
        raise PydagError(f"the file has more than {MOST_BYTES:,} bytes")
    program = Program(module)
    try:
        program.follow(ast.parse(text).body)
    except SyntaxError as error:
        raise PydagError(f"the file is not Python: {error.msg} (line {error.lineno})") from None
    except (RecursionError, MemoryError):
        raise PydagError("the file is nested too deeply") from None
    except ValueError as error:
        raise PydagError(f"the file is not Python: {error}") from None
    except TooMuch:
        raise PydagError(
            "the file computes too much to be read without running it: write its DAG anew"
        ) from None
    if not program.dags:
        raise PydagError("the file makes no DAG that can be seen without running it")
    return [_Writer(dag, program).write() for dag in program.dags]


class _Writer:
    def __init__(self, dag: AirflowDag, program: Program) -> None:
        self._dag = dag
        self._notes = list(program.notes)
        self._defaults = program.defaults
        macros = dag.arguments.get("user_defined_macros")
        self._macros: Mapping[str, Any] = macros if isinstance(macros, dict) else {}
        self._waited_for: set[Task] = set()

    def write(self) -> Converted:
        """The DAG, with its tasks in the file's order."""
        tasks = self._without_empty(list(self._dag.tasks.values()))
        self._waited_for = {each for task in tasks for each in task.upstream}
        written = [self._task(task) for task in tasks]
        content = {**self._fields(_asked(written)), "tasks": written}
        try:
            dag = Dag.parse(content, source=self._dag.dag_id)
        except InvalidDag as error:
            dag = None
            for problem in error.problems:
                where = f"{problem.field}: " if problem.field else ""
                self._note(self._line(problem.task), problem.task, f"{where}{problem.message}")
        notes = sorted(set(self._notes), key=lambda note: (note.line, note.task or "", note.text))
        return Converted(content, notes, dag)

    def _note(self, line: int, task: str | None, text: str) -> None:
        self._notes.append(Note(line, task, text))

    def _line(self, task_id: str | None) -> int:
        task = self._dag.tasks.get(task_id or "")
        return task.line if task else self._dag.line

    def _without_empty(self, tasks: list[Task]) -> list[Task]:
        """Without tasks that do nothing: who waited for them waits for what they waited for."""
        kept = []
        waiting: dict[Task, list[Task]] = {task: [] for task in tasks}
        for task in tasks:
            for each in task.upstream:
                waiting.setdefault(each, []).append(task)
        # The last ones first: what waits for none that is left decides nothing.
        for task in reversed(tasks):
            why = NOTHING.get(task.operator)
            below = waiting[task] if why else []
            plain = not below or all(
                str(each.arguments.get("trigger_rule", "all_success")) == "all_success"
                for each in (task, *below)
            )
            most = len(task.upstream) * len(below)
            if not why or not plain or most > 100 or len(tasks) < 2:
                kept.append(task)
                continue
            self._note(task.line, task.task_id, f"{task.operator} is left out: {why}")
            for each in below:
                place = each.upstream.index(task)
                each.upstream[place : place + 1] = task.upstream
                each.upstream[:] = dict.fromkeys(each.upstream)
            for each in task.upstream:
                both = [*(one for one in waiting[each] if one is not task), *below]
                waiting[each] = list(dict.fromkeys(both))
        return kept[::-1] or tasks

    def _task(self, task: Task) -> dict[str, Any]:
        a = Arguments(task.arguments, self._macros)
        fields = self._task_fields(a, task)
        operator, params = self._made(a, task)
        for text in a.notes:
            self._note(task.line, task.task_id, text)
        if left := [name for name, value in a.left.items() if value not in (None, False)]:
            self._note(task.line, task.task_id, f"left out: {', '.join(sorted(left))}")
        return {"task_id": _id(task), "operator": operator, "params": params, **fields}

    def _made(self, a: Arguments, task: Task) -> tuple[str, dict[str, Any]]:
        make = _OPERATORS.get(task.operator)
        why = "there is no operator for it here"
        if (reason := NOTHING.get(task.operator)) and task in self._waited_for:
            # Its trigger rule, or one behind it, decides what runs.
            self._note(
                task.line, task.task_id, f"{task.operator} is a branch that follows all: {reason}"
            )
            a.left.clear()
            return "branch", {"when": "true"}
        if make is not None:
            try:
                return make(a)
            except NotTaken as error:
                why = str(error)
            except (TypeError, KeyError, AttributeError, IndexError, ValueError):
                why = "its arguments are known only when the file runs"
        text = f"{task.operator} is not taken: {why}. In its place a function is called that is"
        self._note(task.line, task.task_id, f"{text} not there")
        a.left.clear()
        return stand_in(task.task_id)

    def _task_fields(self, a: Arguments, task: Task) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if task.upstream:
            fields["dependencies"] = list(dict.fromkeys(map(_id, task.upstream)))
        self._expand(task, fields)
        if task.setup is not None:
            fields["teardown_of"] = _id(task.setup)
        self._rule(a, task, fields)
        for name in ("retries", "queue"):
            if isinstance(value := a.raw(name), int | str) and value not in {"", "default"}:
                fields[name] = value
        self._times(a, task, fields)
        weight = a.left.get("priority_weight")
        if isinstance(weight, int) and weight != 1:
            fields["priority"] = max(-limits.PRIORITY, min(limits.PRIORITY, weight))
        if a.left.get("impersonation_chain") is not None:
            a.note("impersonation_chain: left out, use a connection of the worker's settings")
        a.ignore(*_IGNORED)
        return fields

    def _rule(self, a: Arguments, task: Task, fields: dict[str, Any]) -> None:
        rule = a.raw("trigger_rule")
        name = rule.lower() if isinstance(rule, str) else "all_success"
        if name == "all_success" or task.setup is not None:
            return
        if name in set(TriggerRule):
            fields["trigger_rule"] = name
        else:
            a.note(f"trigger_rule {rule}: there is none of that name")

    def _times(self, a: Arguments, task: Task, fields: dict[str, Any]) -> None:
        is_sensor = task.operator.endswith("Sensor")
        timeout = "timeout" if is_sensor else "execution_timeout"
        names = {"retry_delay": "retry_delay", "max_retry_delay": "max_retry_delay"}
        for name, ours in {**names, timeout: "timeout"}.items():
            value = a.raw(name)
            seconds = value.seconds if isinstance(value, Span) else value
            if isinstance(seconds, int | float):
                fields[ours] = seconds
        if a.left.get("retry_exponential_backoff") is True:
            fields["retry_backoff"] = True
            fields.setdefault("max_retry_delay", max(3600.0, fields.get("retry_delay", 300.0)))
        if is_sensor:
            a.ignore("execution_timeout", "soft_fail")

    def _expand(self, task: Task, fields: dict[str, Any]) -> None:
        match task.over:
            case None:
                return
            case Result():
                fields["expand"] = {"over": expression_of(task.over)}
            case Unknown():
                fields["expand"] = {"over": f"params.{param_name(task.over.name)}"}
            case list():
                fields["expand"] = {"over": task.over}

    def _fields(self, asked: set[str]) -> dict[str, Any]:
        a = Arguments(self._dag.arguments, {})
        a.ignore("dag_id", "default_args", *_OF_DAG)
        defaults = self._dag.arguments.get("default_args")
        defaults = defaults if isinstance(defaults, dict) else {}
        fields: dict[str, Any] = {"dag_id": _ID.sub("_", self._dag.dag_id)[: limits.ID] or "dag"}
        self._about(a, defaults, fields)
        self._schedule(a, fields)
        self._dates(a, defaults, fields)
        for name, ours in _NUMBERS.items():
            if isinstance(value := a.raw(name), int):
                fields[ours] = value
        if isinstance(span := a.raw("dagrun_timeout"), Span):
            fields["timeout"] = span.seconds
        if params := self._params(a.raw("params"), asked):
            fields["params"] = params
        for name, value in a.left.items():
            if value not in (None, False):
                self._note(self._dag.line, None, f"of the DAG left out: {name}")
        return fields

    def _about(self, a: Arguments, defaults: Mapping[str, Any], fields: dict[str, Any]) -> None:
        if isinstance(text := a.raw("description"), str) and text:
            fields["description"] = text
        if isinstance(owner := defaults.get("owner"), str) and owner != "airflow":
            fields["owner"] = owner
        if isinstance(tags := a.raw("tags"), list):
            fields["tags"] = [str(tag)[: limits.TAG] for tag in tags][: limits.TAGS]

    def _params(self, given: Any, asked: set[str]) -> dict[str, Any]:
        known = given.items() if isinstance(given, dict) else ()
        params = {name: value for name, value in known if not isinstance(value, Unknown)}
        for name in sorted(asked):
            if name in self._defaults:
                params.setdefault(name, self._defaults[name])
            elif name not in params:
                text = f"{name} is known only when the file runs: give it with --param {name}=…, or"
                self._note(self._dag.line, None, f"{text} write a default into the DAG's params")
        return params

    def _schedule(self, a: Arguments, fields: dict[str, Any]) -> None:
        given = [a.raw(name) for name in ("schedule", "schedule_interval", "timetable")]
        found = next((each for each in given if each is not None), None)
        match found:
            case None | "@once" | "@continuous":
                if found:
                    self._note(self._dag.line, None, f"schedule {found}: start it by hand")
            case str():
                fields["schedule_interval"] = found
            case Span():
                fields["schedule_interval"] = found.seconds
            case _:
                self._note(self._dag.line, None, "its schedule is no cron fields and no timedelta")
        catchup = a.raw("catchup")
        if catchup is True:
            fields["catchup"] = True
        elif catchup is None and "schedule_interval" in fields:
            self._note(self._dag.line, None, "catchup is not said: here it is false")

    def _dates(self, a: Arguments, defaults: Mapping[str, Any], fields: dict[str, Any]) -> None:
        for name in ("start_date", "end_date"):
            value = a.raw(name) or defaults.get(name)
            if isinstance(value, Date):
                fields[name] = value.text
                if value.zone and value.zone != "UTC":
                    fields["timezone"] = value.zone
            elif value is not None:
                self._note(self._dag.line, None, f"{name} is known only when the file runs")


def _asked(tasks: Sequence[Mapping[str, Any]]) -> set[str]:
    """The params of the run that tasks name."""
    named = set()
    for task in tasks:
        over = task.get("expand", {}).get("over")
        if isinstance(over, str) and over.startswith("params."):
            named.add(over.removeprefix("params."))
        for _, text in templates(task["params"]):
            with contextlib.suppress(ValueError):  # which is told already
                named |= parsed(text).params or set()
    return named


def _id(task: Task) -> str:
    return _ID.sub("_", task.task_id)[: limits.ID]
