"""The fields of a DAG and of a task: the one list of them, with types, ranges and defaults."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema

from pydag_dist.dag import patterns
from pydag_dist.dag.operators import family
from pydag_dist.dag.params import read_params
from pydag_dist.dag.script import PATTERN, ScriptPath, quote

SECONDS_PER_YEAR: Final = 365 * 86400
ID_LENGTH: Final = 200

Text = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]
Id = Annotated[str, Strict(), Field(pattern=patterns.ID, max_length=ID_LENGTH)]
Seconds = Annotated[float, Strict(), Field(gt=0, le=SECONDS_PER_YEAR, allow_inf_nan=False)]
Retries = Annotated[int, Strict(), Field(ge=0, le=100)]
Params = Annotated[dict[str, Any], BeforeValidator(read_params, json_schema_input_type=dict | str)]


class TriggerRule(StrEnum):
    """When a task whose upstream tasks have ended is run, with Airflow's meaning."""

    ALL_SUCCESS = "all_success"
    ALL_DONE = "all_done"
    ALL_FAILED = "all_failed"
    ONE_SUCCESS = "one_success"
    ONE_FAILED = "one_failed"
    NONE_FAILED = "none_failed"
    NONE_FAILED_MIN_ONE_SUCCESS = "none_failed_min_one_success"
    NONE_SKIPPED = "none_skipped"
    ALWAYS = "always"


def _script(value: Any) -> ScriptPath:
    if not isinstance(value, str):
        raise ValueError(f"must be a text, not {quote(value)}")  # noqa: TRY004  pydantic collects it
    return ScriptPath.parse(value)


Script = Annotated[
    ScriptPath, BeforeValidator(_script), WithJsonSchema({"type": "string", "pattern": PATTERN})
]


def _doc(text: str) -> Any:
    return Field(description=text)


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a DAG, as its file says it, with what the file left out filled in.

    A task of a script has the operator ``script.bq``, ``script.spark`` or ``script.iac``. Times
    are in seconds. Tasks are equal when all fields are, and not to be changed.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    task_id: Annotated[Id, _doc("unique within the DAG")]
    operator: Annotated[Text, _doc("dotted name of the operator; not with a script")] = ""
    params: Annotated[Params, _doc("what the operator or script is given")] = field(
        default_factory=dict
    )
    _: KW_ONLY
    script: Annotated[Script | None, _doc("path of a script, instead of an operator")] = None
    dependencies: Annotated[
        list[Text],
        Field(
            description="ids of the upstream tasks",
            json_schema_extra={"uniqueItems": True},
        ),
    ] = field(default_factory=list)
    queue: Annotated[Id, _doc("default: the operator's family")] = ""
    trigger_rule: Annotated[TriggerRule, _doc("which ends upstream make it run")] = (
        TriggerRule.ALL_SUCCESS
    )
    retries: Annotated[Retries, _doc("more tries after a failure; default: the DAG's")] = 0
    retry_delay: Annotated[Seconds, _doc("seconds before another try")] = 60.0
    retry_backoff: Annotated[Flag, _doc("double the delay after every failure")] = False
    max_retry_delay: Annotated[Seconds, _doc("seconds that a doubled delay may reach")] = 3600.0
    timeout: Annotated[Seconds | None, _doc("seconds that a try may take; default: a day")] = None
    priority: Annotated[int, Strict(), Field(ge=-1000, le=1000), _doc("higher runs first")] = 0
    allow_failure: Annotated[Flag, _doc("the run may succeed though this task fails")] = False

    def __post_init__(self) -> None:
        if self.script and not self.operator:
            object.__setattr__(self, "operator", f"script.{self.script.engine}")
        if not self.queue:
            object.__setattr__(self, "queue", family(self.operator))

    def __hash__(self) -> int:
        return hash(self.task_id)


@dataclass
class DagFields:
    """What a DAG says of itself, beside its tasks. Times are in seconds."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    dag_id: Annotated[Id, _doc("names the DAG in runs, logs and history")]
    _: KW_ONLY
    description: Annotated[Text, _doc("for people")] = ""
    owner: Annotated[Text, _doc("for people")] = ""
    tags: Annotated[list[Text], _doc("for people")] = field(default_factory=list)
    schedule_interval: Annotated[Text, _doc("information: nothing schedules it yet")] = ""
    start_date: Annotated[Text, _doc("information: nothing schedules it yet")] = ""
    processors: Annotated[
        int, Strict(), Field(ge=0, le=100_000), _doc("tasks active at once; 0: no cap")
    ] = 0
    weight: Annotated[
        float, Strict(), Field(gt=0, le=1000, allow_inf_nan=False), _doc("share of the workers")
    ] = 1.0
    timeout: Annotated[Seconds | None, _doc("seconds that a run may take")] = None
    params: Annotated[dict[str, Any], _doc("information: no operator reads them yet")] = field(
        default_factory=dict
    )
    retries: Annotated[Retries, _doc("default of its tasks' `retries`")] = 0
    script_cache: Annotated[Flag, _doc("keep the texts of scripts in Redis")] = False
    expire_cache: Annotated[
        int,
        Strict(),
        Field(ge=0, le=10 * SECONDS_PER_YEAR),
        _doc("seconds that a script's text is kept; 0: for ever"),
    ] = 0
