"""Commands about published DAGs: publish, dags, pause, unpause, unpublish, run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from pydag_dist.cli import run_lookup
from pydag_dist.cli.commands.runs import tell_of
from pydag_dist.cli.commands.workers import warn_of_unserved
from pydag_dist.cli.display.dags_table import dag_screen, dags_screen, version_lines
from pydag_dist.cli.display.output import echo
from pydag_dist.cli.display.tables import print_fitted
from pydag_dist.cli.group import MISUSE
from pydag_dist.cli.options import DAG_FILE, JSON, LOGICAL_DATE, PARAM, TIMEOUT, WAIT
from pydag_dist.client import Client
from pydag_dist.client.difference import difference
from pydag_dist.client.published import PublishedDags
from pydag_dist.dag import Dag
from pydag_dist.dag.run_params import check_names
from pydag_dist.engine.publications import check_scheduled
from pydag_dist.engine.published import PublishedDag, Version
from pydag_dist.errors import InvalidDag, PydagError

_CHANGES: Final = 10  # of a DAG that are told
_DAGS = click.argument("names", nargs=-1, required=True, metavar="DAG...")


@click.command()
@click.argument("files", nargs=-1, required=True, type=DAG_FILE, metavar="FILE...")
@JSON
def publish(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Make DAG files known by their ids: all of them, or none if one has a problem.

    From then on a DAG's schedule starts it, and `pydag run` does by its id. A file that has
    changed becomes the next version; runs that go on keep theirs. What is published is said with
    what has changed, one DAG a line.

    \b
    Examples:
        pydag publish nightly.json
        pydag publish dags/*.json
    """
    dags = _loaded(files)
    client = Client()
    told = []
    for dag in dags:
        before = client.published.kept_versions(dag.dag_id)
        done = client.publish(dag)[0]
        changed = difference(before[0].text, dag.to_json()) if before and done.is_new else []
        told.append({**asdict(done), "due": epoch_seconds(done.due), "difference": changed})
        if not as_json:
            what = f"version {done.version}" + ("" if done.is_new else ", as it was")
            schedule = dag.schedule
            due = f", due {schedule.text(done.due)}" if schedule and done.due else ""
            echo(f"{done.dag_id}: {what}{due}")
            for line in changed:
                echo(f"  {line}")
        warn_of_unserved(client, dag)
    if as_json:
        echo(json.dumps({"published": told}, indent=2))


def _loaded(files: tuple[Path, ...]) -> list[Dag]:
    """The DAGs of all files; with any problem all problems are told, and nothing is done."""
    dags: dict[str, tuple[Path, Dag]] = {}
    wrong = []
    for file in files:
        try:
            dag = Dag.load(file)
            check_scheduled(dag)
        except InvalidDag as error:
            wrong += [str(problem) for problem in error.problems]
            continue
        if dag.dag_id in dags:
            wrong.append(f"{file}: DAG {dag.dag_id} is in {dags[dag.dag_id][0]}, too")
        dags[dag.dag_id] = (file, dag)
    if wrong:
        for line in wrong:
            echo(line, err=True)
        echo("Error: nothing was published", err=True)
        raise SystemExit(MISUSE)
    return [dag for _, dag in dags.values()]


@click.command()
@click.argument("name", required=False, metavar="[DAG]")
@click.option("--versions", is_flag=True, help="The versions of DAG, and what each has changed.")
@JSON
def dags(name: str | None, *, versions: bool, as_json: bool) -> None:
    """List the published DAGs: schedule, when each is due, and its last run.

    Of one DAG everything that is known, and who did what to it and when: the newest 10 changes
    that the history has. With --versions its versions instead, the newest first. Files of a
    published folder (`pydag coordinator --dags DIR`) that have problems are told below.

    \b
    Examples:
        pydag dags
        pydag dags nightly --versions
        pydag dags --json | jq -r '.dags[] | select(.paused_at) | .dag_id'
    """
    published = Client().published
    if versions:
        if name is None:
            raise PydagError("--versions is about one DAG: name it, such as nightly --versions")
        _show_versions(published, name, as_json=as_json)
        return
    if name is not None:
        _show(published, name, as_json=as_json)
        return
    listed, problems = published.all(), published.problems()
    owners = published.owners(listed)
    if as_json:
        told = [{**_as_json(dag), "owner": owners[dag.dag_id]} for dag in listed]
        echo(json.dumps({"dags": told, "problems": problems}, indent=2))
        return
    if listed:
        print_fitted(partial(dags_screen, listed, owners))
    else:
        echo("No DAG is published: `pydag publish FILE` publishes one", err=True)
    for file, problem in sorted(problems.items()):
        echo(f"Warning: {file} is not published: {problem}", err=True)


@click.command()
@_DAGS
def pause(names: tuple[str, ...]) -> None:
    """Let the schedules of DAGs start nothing, until they are unpaused.

    What is due meanwhile is missed, unless the DAG says `catchup`. Runs that go on are not
    touched, and `pydag run` starts new ones.

    \b
    Example:
        pydag pause nightly hourly
    """
    _each(names, Client().pause, "paused", "was paused already")


@click.command()
@_DAGS
def unpause(names: tuple[str, ...]) -> None:
    """Let the schedules of paused DAGs go on.

    \b
    Example:
        pydag unpause nightly
    """
    _each(names, Client().unpause, "unpaused", "was not paused")


@click.command()
@_DAGS
def unpublish(names: tuple[str, ...]) -> None:
    """Take the names of DAGs back: they are never due again. Their runs go on.

    \b
    Example:
        pydag unpublish nightly
    """

    def unpublished(name: str) -> bool:
        Client().unpublish(name)
        return True

    _each(names, unpublished, "unpublished", "")


def _each(names: tuple[str, ...], change: Callable[[str], bool], done: str, was: str) -> None:
    change_each(names, lambda name: echo(f"{name}: {done if change(name) else was}"))


def change_each(names: Sequence[str], change: Callable[[str], None]) -> None:
    """Change each of these, also after one that can't be."""
    failed = False
    for name in names:
        try:
            change(name)
        except PydagError as error:
            failed = True
            echo(f"Error: {error}", err=True)
    if failed:
        raise SystemExit(MISUSE)


@click.command()
@click.argument("name", metavar="DAG")
@WAIT
@TIMEOUT
@PARAM
@LOGICAL_DATE
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --wait the final status.")
def run(
    name: str,
    *,
    wait: bool,
    timeout: float | None,
    params: dict[str, Any],
    logical_date: str | None,
    as_json: bool,
) -> None:
    """Start a run of a published DAG by hand, and print the run's id.

    It is of the newest version. The schedule does not notice: what is due stays so, also while the
    DAG is paused. Exit code with --wait as of `pydag submit`.

    \b
    Examples:
        pydag run nightly
        pydag run nightly --param country=pe --logical-date 2026-01-31 --wait
    """
    client = Client()
    check_names(client.published.newest(name), params)
    started = client.start(name, params, logical_date=logical_date)
    tell_of(started, timeout, wait=wait, as_json=as_json)


def _show(published: PublishedDags, name: str, *, as_json: bool) -> None:
    dag, newest = published.dag(name), published.newest(name)
    with run_lookup.own_history() as history:
        changes = history.dag_changes(name, _CHANGES) if history else []
    if as_json:
        more = {"owner": newest.owner, "description": newest.description, "tags": newest.tags}
        told = {**_as_json(dag), **more, "changes": [asdict(change) for change in changes]}
        echo(json.dumps(told, indent=2))
    else:
        print_fitted(partial(dag_screen, dag, newest, changes))


def _show_versions(published: PublishedDags, name: str, *, as_json: bool) -> None:
    found = _versions(published, name)
    if as_json:
        told = [asdict(version) | {"at": epoch_seconds(version.at)} for version in found]
        echo(json.dumps({"dag_id": name, "versions": told}, indent=2))
        return
    for line in version_lines(found):
        echo(line)


def _versions(published: PublishedDags, name: str) -> list[Version]:
    """Those that Redis has, and older ones of the history."""
    kept = published.versions(name)
    if kept and kept[-1].number > 1:
        with run_lookup.own_history() as history:
            if history:
                from pydag_dist.history.published import all_versions

                return all_versions(kept, history.published(name))
    return kept


def _as_json(dag: PublishedDag) -> dict[str, Any]:
    return {n: epoch_seconds(v) if isinstance(v, datetime) else v for n, v in asdict(dag).items()}


def epoch_seconds(at: datetime | None) -> float | None:
    """A moment for JSON; None for none."""
    return at.timestamp() if at else None
