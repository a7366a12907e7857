"""Commands about DAG files; but for `validate --live` none of them needs Redis."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pydag_dist import dag as model
from pydag_dist.cli.group import MISUSE
from pydag_dist.cli.members import warn_of_unserved
from pydag_dist.cli.screen import echo
from pydag_dist.client import Client
from pydag_dist.dag import draw
from pydag_dist.errors import InvalidDag

DAG_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("files", nargs=-1, required=True, type=DAG_FILE, metavar="FILE...")
@click.option("--live", is_flag=True, help="Say, too, which tasks no live worker can run.")
def validate(files: tuple[Path, ...], live: bool) -> None:
    """Check DAG files without running anything.

    Exit code 0 if all are right; else 2, and every problem of every file on its own line. What no
    live worker can run (--live, which asks Redis) is a warning.

    \b
    Example:
        pydag validate dags/*.json
        pydag validate --live dags/nightly.json
    """
    wrong = False
    for file in files:
        try:
            dag = model.Dag.load(file)
        except InvalidDag as error:
            wrong = True
            for problem in error.problems:
                echo(str(problem), err=True)
        else:
            echo(f"{file}: DAG {dag.dag_id} with {len(dag.tasks)} tasks is right")
            if live:
                warn_of_unserved(Client(), dag)
    if wrong:
        raise SystemExit(MISUSE)


@click.command()
def schema() -> None:
    """Print the JSON Schema of DAG files, for editors and other programs.

    \b
    Example:
        pydag schema > dag.schema.json
    """
    echo(json.dumps(model.schema(), indent=2))


@click.command()
@click.argument("file", type=DAG_FILE)
def graph(file: Path) -> None:
    """Draw a DAG as text: what waits for what.

    \b
    Example:
        pydag graph pipeline.json
    """
    echo(draw.text(model.Dag.load(file)))
