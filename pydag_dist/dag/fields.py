"""All fields of a DAG and of a task, with types, ranges and defaults."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema

from pydag_dist.dag import limits
from pydag_dist.dag.operators import BRANCH, family
from pydag_dist.dag.params.single_quoted import read_params
from pydag_dist.dag.schedules import cron, dates
from pydag_dist.dag.schedules.schedule import EPOCH, Every, Schedule
from pydag_dist.dag.script import PATTERN, ScriptPath
from pydag_dist.dag.templates.parsing import list_place
from pydag_dist.dag.templates.texts import Place, as_template
from pydag_dist.dag.text import patterns
from pydag_dist.dag.text.quote import quote

CACHE_SECONDS: Final = 7 * 86400.0

Text = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]
Id = Annotated[str, Strict(), Field(pattern=patterns.ID, max_length=limits.ID)]


def _between(bounds: tuple[float, float]) -> Any:
    least, most = bounds
    return Field(ge=least, le=most, allow_inf_nan=False)


Delay = Annotated[float, Strict(), _between(limits.DELAY)]
Timeout = Annotated[float, Strict(), _between(limits.TIMEOUT)]
Retries = Annotated[int, Strict(), Field(ge=0, le=limits.RETRIES)]
Bytes = Annotated[int, Strict(), Field(gt=0, le=2**60)]
Tags = Annotated[
    list[Annotated[str, Strict(), Field(max_length=limits.TAG)]], Field(max_length=limits.TAGS)
]
Params = Annotated[dict[str, Any], BeforeValidator(read_params, json_schema_input_type=dict | str)]


class TriggerRule(StrEnum):
    """When a task whose upstream tasks have ended is run, with Airflow's meaning."""

    ALL_SUCCESS = "all_success"
    ALL_DONE = "all_done"
    ALL_DONE_MIN_ONE_SUCCESS = "all_done_min_one_success"
    ALL_FAILED = "all_failed"
    ALL_SKIPPED = "all_skipped"
    ONE_SUCCESS = "one_success"
    ONE_FAILED = "one_failed"
    ONE_DONE = "one_done"
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


def _hooks(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Hook = Annotated[str, Strict(), Field(pattern=patterns.HOOK, max_length=2000)]
Hooks = Annotated[
    list[Hook],
    BeforeValidator(_hooks, json_schema_input_type=Hook | list[Hook]),
    Field(max_length=limits.HOOKS),
]


def _over(value: Any) -> Any:
    if not isinstance(value, str | list):
        raise ValueError(f"must be a text or a list, not {quote(value)}")  # noqa: TRY004  see above
    return value


@dataclass(frozen=True, slots=True)
class Expand:
    """One task for each item of a list, which an upstream task returns or which is known before."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    over: Annotated[
        Any,
        BeforeValidator(_over, json_schema_input_type=str | list[Any]),
        Field(description='"tasks.LIST.result", "params.LIST", a path below these, or a list'),
    ]

    @property
    def place(self) -> Place | None:
        """Where the list is, None if it is `over` itself; raises ValueError."""
        return list_place(self.over) if isinstance(self.over, str) else None

    @property
    def task(self) -> str:
        """The upstream task that returns the list; empty if the list is known before."""
        place = self.place
        return place.name if place and place.root == "tasks" else ""


def _interval(value: Any) -> Any:
    if isinstance(value, str):
        problem = cron.problem_of(value) if value else None
    elif isinstance(value, bool) or not isinstance(value, int | float):
        problem = f"must be a text or a number, not {quote(value)}"
    elif value != value:  # noqa: PLR0124  not a number
        problem = "must be a number, not nan"
    else:
        least, most = limits.INTERVAL
        problem = None
        if not least <= value <= most:
            problem = f"must be {least} to {most:,} seconds, not {quote(value)}"
    if problem:
        raise ValueError(problem)
    return value


Interval = Annotated[
    Any,
    BeforeValidator(_interval),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": patterns.CRON, "maxLength": cron.LONGEST},
                {"type": "number", "minimum": limits.INTERVAL[0], "maximum": limits.INTERVAL[1]},
            ]
        }
    ),
]


def _date(value: str) -> str:
    if value:
        dates.begin_of(value, dates.zone_of("UTC"))
    return value


Date = Annotated[
    Text,
    AfterValidator(_date),
    WithJsonSchema({"anyOf": [{"const": ""}, {"type": "string", "pattern": patterns.DAY_OR_TIME}]}),
]


def _zone(value: str) -> str:
    dates.zone_of(value)
    return value


Zone = Annotated[Text, AfterValidator(_zone), Field(pattern=patterns.FILLED)]


def _doc(text: str) -> Any:
    return Field(description=text)


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a DAG, as its file says it, with what the file left out filled in.

    A task of a script has the operator ``script.bq``, ``script.spark`` or ``script.iac``. Times
    are in seconds. Tasks are equal if all their fields are; they must not be changed.
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
    expand: Annotated[Expand | None, _doc("one task for each item of a list")] = None
    queue: Annotated[Id, _doc("default: the operator's family")] = ""
    trigger_rule: Annotated[TriggerRule, _doc("which ends upstream make it run")] = (
        TriggerRule.ALL_SUCCESS
    )
    retries: Annotated[Retries, _doc("more tries after a failure; default: the DAG's")] = 0
    retry_delay: Annotated[Delay, _doc("seconds before another try")] = 60.0
    retry_backoff: Annotated[Flag, _doc("double the delay after every failure")] = False
    max_retry_delay: Annotated[Delay, _doc("seconds that a doubled delay may reach")] = 3600.0
    timeout: Annotated[Timeout | None, _doc("seconds that a try may take; default: a day")] = None
    priority: Annotated[
        int, Strict(), Field(ge=-limits.PRIORITY, le=limits.PRIORITY), _doc("higher runs first")
    ] = 0
    teardown_of: Annotated[
        Text | None, _doc("the task whose work this one undoes, once all between them has ended")
    ] = None
    allow_failure: Annotated[
        Flag, _doc("the run may succeed though this task fails; default: if it is a teardown")
    ] = None  # type: ignore[assignment]
    cache: Annotated[
        Literal["inputs"] | None, _doc("don't run again what would read and write the same")
    ] = None
    cache_seconds: Annotated[Delay, _doc("seconds that a cached result is kept")] = CACHE_SECONDS

    def __post_init__(self) -> None:
        if self.script and not self.operator:
            object.__setattr__(self, "operator", f"script.{self.script.engine}")
        if self.allow_failure is None:
            object.__setattr__(self, "allow_failure", self.teardown_of is not None)
        if not self.queue:
            object.__setattr__(self, "queue", family(self.operator))

    def __hash__(self) -> int:
        return hash(self.task_id)

    @property
    def params_to_render(self) -> dict[str, Any]:
        """The params with all templates; a branch's `when`, which has no braces, becomes one."""
        if self.operator == BRANCH and isinstance(when := self.params.get("when"), str):
            return self.params | {"when": as_template(when)}
        return self.params


@dataclass
class DagFields:
    """The fields of a DAG beside its tasks. Times are in seconds."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    dag_id: Annotated[Id, _doc("names the DAG in runs, logs and history")]
    _: KW_ONLY
    description: Annotated[Text, _doc("for people")] = ""
    owner: Annotated[Text, _doc("for people")] = ""
    tags: Annotated[Tags, _doc("for people, who find runs by them")] = field(default_factory=list)
    schedule_interval: Annotated[
        Interval, _doc('when it is due once it is published: cron fields, "@daily" or seconds')
    ] = ""
    timezone: Annotated[Zone, _doc("of cron fields, of dates without an offset, and of `ds`")] = (
        "UTC"
    )
    start_date: Annotated[Date, _doc("a day or a time: it is not due before")] = ""
    end_date: Annotated[Date, _doc("a day or a time: it is not due after")] = ""
    catchup: Annotated[Flag, _doc("run every date that was missed, not only the newest")] = False
    max_active_runs: Annotated[
        int,
        Strict(),
        Field(ge=1, le=limits.ACTIVE_RUNS),
        _doc("scheduled runs that are active at once; the next one waits"),
    ] = 1
    processors: Annotated[
        int, Strict(), Field(ge=0, le=limits.PROCESSORS), _doc("tasks active at once; 0: no cap")
    ] = 0
    weight: Annotated[float, Strict(), _between(limits.WEIGHT), _doc("share of the workers")] = 1.0
    timeout: Annotated[Timeout | None, _doc("seconds that a run may take")] = None
    params: Annotated[dict[str, Any], _doc("defaults of a run's params")] = field(
        default_factory=dict
    )
    budget_bytes: Annotated[
        Bytes | None, _doc("bytes that the BigQuery queries of a run may bill")
    ] = None
    on_success: Annotated[Hooks, _doc("told when a run succeeded: URLs, or names of them")] = field(
        default_factory=list
    )
    on_failure: Annotated[Hooks, _doc("told when a run failed or was cancelled")] = field(
        default_factory=list
    )
    on_late: Annotated[Hooks, _doc("told when a run has not ended `expected_within`")] = field(
        default_factory=list
    )
    expected_within: Annotated[
        Timeout | None, _doc("seconds from its logical date until a run should have ended")
    ] = None
    retries: Annotated[Retries, _doc("default of its tasks' `retries`")] = 0
    script_cache: Annotated[Flag, _doc("keep the texts of scripts in Redis")] = False
    expire_cache: Annotated[
        int,
        Strict(),
        Field(ge=0, le=10 * limits.YEAR),
        _doc("seconds that a script's text is kept; 0: for ever"),
    ] = 0

    def __post_init__(self) -> None:
        self.on_success = _hooks(self.on_success)
        self.on_failure = _hooks(self.on_failure)
        self.on_late = _hooks(self.on_late)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of its dates. The field must be valid."""
        return dates.zone_of(self.timezone)

    @property
    def schedule(self) -> Schedule | None:
        """When it is due; None without a `schedule_interval`. The fields must be valid."""
        if self.schedule_interval == "":
            return None
        zone = self.zone
        start = dates.begin_of(self.start_date, zone) if self.start_date else None
        end = dates.end_of(self.end_date, zone) if self.end_date else None
        when: cron.Cron | Every
        if isinstance(self.schedule_interval, str):
            when = cron.Cron(self.schedule_interval, zone)
        else:
            when = Every(start or EPOCH, timedelta(seconds=self.schedule_interval))
        return Schedule(when, zone, start, end, self.catchup)
