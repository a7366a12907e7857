"""Commands about DAG files: Redis is asked by `validate --live` and of published DAGs only."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pydag_dist import dag as model
from pydag_dist.cli.commands.workers import warn_of_unserved
from pydag_dist.cli.display.output import echo
from pydag_dist.cli.group import MISUSE
from pydag_dist.cli.options import DAG_FILE, JSON, LOGICAL_DATE, PARAM, named_values, names_file
from pydag_dist.client import Client
from pydag_dist.dag.forms import FORMS
from pydag_dist.dag.schedules import dates
from pydag_dist.dag.text.quote import counted
from pydag_dist.errors import InvalidDag, Problem, PydagError

if TYPE_CHECKING:
    from pydag_dist.dag.airflow.reading import Converted


@click.command()
@click.argument("files", nargs=-1, required=True, type=DAG_FILE, metavar="FILE...")
@click.option("--live", is_flag=True, help="Say, too, which tasks no live worker can run.")
@JSON
def validate(files: tuple[Path, ...], *, live: bool, as_json: bool) -> None:
    """Check DAG files without running anything.

    Exit code 0 if all are right; else 2, and every problem of every file on its own line. What no
    live worker can run (--live, which asks Redis) is a warning.

    \b
    Example:
        pydag validate dags/*.json
        pydag validate --live dags/nightly.json
    """
    found = [_validated(file) for file in files]
    if as_json:
        echo(json.dumps({"files": [_as_json(*each, live=live) for each in found]}, indent=2))
    else:
        for file, dag, problems in found:
            for problem in problems:
                echo(str(problem), err=True)
            if dag is not None:
                echo(f"{file}: DAG {dag.dag_id} with {counted(len(dag.tasks), 'task')} is right")
                if live:
                    warn_of_unserved(Client(), dag)
    if any(problems for _, _, problems in found):
        raise SystemExit(MISUSE)


def _validated(file: Path) -> tuple[Path, model.Dag | None, list[Problem]]:
    try:
        return file, model.Dag.load(file), []
    except InvalidDag as error:
        return file, None, error.problems


def _as_json(
    file: Path, dag: model.Dag | None, problems: list[Problem], *, live: bool
) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "file": str(file),
        "dag_id": dag.dag_id if dag else None,
        "tasks": len(dag.tasks) if dag else None,
        "problems": [asdict(problem) for problem in problems],
    }
    if live:
        answer["unserved"] = [asdict(task) for task in Client().unserved(dag)] if dag else []
    return answer


@click.command()
@click.argument("file", type=DAG_FILE)
@click.option(
    "--to", type=click.Choice([*FORMS]), default="own", show_default=True, help="The form."
)
@click.option("--dag", "dag_id", metavar="ID", help="Which one, of an Airflow file with several.")
def convert(file: Path, *, to: str, dag_id: str | None) -> None:
    """Print a DAG file in another form.

    own is our own JSON, python a program that builds the same DAG by this library, mermaid a
    flowchart for documents, text the drawing of `pydag graph`. A file that ends with .py is one of
    Airflow: it is read and not run, and what did not come over is told, line by line.

    \b
    Examples:
        pydag convert nightly.json --to python > nightly.py
        pydag convert pydag_file.json > own.json
        pydag convert airflow_dag.py > nightly.json
    """
    if file.suffix != ".py":
        echo(FORMS[to](model.Dag.load(file)).rstrip("\n"))
        return
    found = _of_airflow(file, dag_id)
    for note in found.notes:
        echo(f"{file}: {note}", err=True)
    if found.dag is not None:
        echo(FORMS[to](found.dag).rstrip("\n"))
    elif to == "own":
        echo(json.dumps(found.content, indent=2, ensure_ascii=False))
    else:
        raise PydagError(f"{file}: the DAG has problems, see above: mend it as --to own, first")


def _of_airflow(file: Path, dag_id: str | None) -> Converted:
    from pydag_dist.dag.airflow.reading import converted

    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise PydagError(f"{file} can't be read: {why}") from None
    try:
        found = converted(text, file.stem)
    except PydagError as error:
        raise PydagError(f"{file}: {error}") from None
    wanted = [each for each in found if dag_id in {None, each.content["dag_id"]}]
    if len(wanted) != 1:
        ids = ", ".join(each.content["dag_id"] for each in found)
        raise PydagError(f"{file} has the DAGs {ids}: name one with --dag")
    return wanted[0]


@click.command()
@click.argument("file", type=DAG_FILE)
@click.argument("task")
@PARAM
@LOGICAL_DATE
@click.option(
    "--result",
    "results",
    multiple=True,
    callback=named_values,
    metavar="TASK=V",
    help="What an upstream task would return; repeatable.",
)
@click.option(
    "--index",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Which child, of a task that expands.",
)
def render(
    file: Path,
    task: str,
    *,
    params: dict[str, Any],
    logical_date: str | None,
    results: dict[str, Any],
    index: int,
) -> None:
    """Print the params that a task of a DAG file would be given, with their templates rendered.

    Nothing is run. Secrets are shown as ***.

    \b
    Examples:
        pydag render nightly.json load --logical-date 2026-01-31
        pydag render nightly.json load --param country=pe --result 'list=["a", "b"]'
    """
    from pydag_dist.client.arguments import utc
    from pydag_dist.dag.planning.rendering import Unrendered
    from pydag_dist.dag.planning.task_spec import RunParams
    from pydag_dist.dag.planning.trial import tried

    dag = model.Dag.load(file)
    if task not in dag.tasks:
        raise PydagError(f"{file} has no task {task}")
    run = RunParams(params, utc(logical_date or datetime.now(UTC), dag.zone))
    try:
        _, made = tried(dag, task, run, results, index)
    except Unrendered as error:
        raise PydagError(f"{file}: {task}: {error}") from None
    echo(json.dumps(made, indent=2, ensure_ascii=False))


@click.command()
def schema() -> None:
    """Print the JSON Schema of DAG files, for editors and other programs.

    \b
    Example:
        pydag schema > dag.schema.json
    """
    echo(json.dumps(model.schema(), indent=2))


@click.command()
@click.argument("name", metavar="FILE|DAG")
@click.option(
    "-n", "count", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many."
)
@click.option(
    "--from",
    "first",
    metavar="DATE",
    help="A day or a time, without an offset in the DAG's time zone; default: now.",
)
@click.option("--json", "as_json", is_flag=True, help="As one JSON object, with data intervals.")
def schedule(name: str, *, count: int, first: str | None, as_json: bool) -> None:
    """Print the next times at which a DAG is due, by its schedule_interval.

    They are in the DAG's time zone, each with its offset from UTC. A name that is no file's is that
    of a published DAG, which Redis is asked for; whether it is paused makes no difference here.

    \b
    Example:
        pydag schedule nightly.json
        pydag schedule nightly.json -n 3 --from 2026-03-28
        pydag schedule nightly
    """
    dag = model.Dag.load(Path(name)) if names_file(name) else Client().published.newest(name)
    found = dag.schedule
    if found is None:
        raise PydagError(
            f"{name}: DAG {dag.dag_id} has no schedule_interval: it runs when somebody starts it"
        )
    try:
        begin = dates.begin_of(first, dag.zone) if first is not None else datetime.now(UTC)
    except ValueError as error:
        raise PydagError(f"--from {error}") from None
    due = list(islice(found.between(begin, datetime.max.replace(tzinfo=UTC)), count))
    if as_json:
        intervals = [
            {
                "logical_date": found.text(one),
                "data_interval_start": found.text(found.before(one) or one),
                "data_interval_end": found.text(one),
            }
            for one in due
        ]
        echo(json.dumps({"dag_id": dag.dag_id, "due": intervals}, indent=2))
        return
    for one in due:
        echo(found.text(one))
    if len(due) < count:
        echo(f"DAG {dag.dag_id} is not due again.", err=True)
