"""The commands of the web part: serve it, and make tokens for it."""

from __future__ import annotations

import json
import sys
import webbrowser
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import click

from pydag_dist.cli.display.output import echo
from pydag_dist.cli.display.tables import clock, print_fitted, rows_table
from pydag_dist.cli.options import DAG_FILE
from pydag_dist.client import Client
from pydag_dist.client.submitter import user_at_host
from pydag_dist.engine import Engine
from pydag_dist.errors import ChangedMeanwhile, PydagError
from pydag_dist.settings import load_settings


def require_web() -> None:
    """`PydagError` unless the web part's packages are installed."""
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise PydagError("The web part is not installed: pip install 'pydag-dist[web]'")


@click.command()
@click.option("--address", metavar="ADDRESS", help="Where it listens. [127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="[8080]; 0: a free one.")
@click.option(
    "--files",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Let editors read and change the DAG files of this folder.",
)
@click.option("--open", "opens", is_flag=True, help="Open it in a browser.")
@click.option(
    "--link",
    is_flag=True,
    help="Print another address with a key, of each that runs here, and end.",
)
def web(
    address: str | None, port: int | None, files: Path | None, *, opens: bool, link: bool
) -> None:
    """Serve the interface and its REST routes: runs live, in the browser and for programs.

    It listens on this host only and lets that browser in which opens the address with the key that
    is printed: each key works once. PYDAG_WEB_MODE says how others are let in: by tokens, or by a
    proxy that knows them.

    \b
    Examples:
        pydag web --open
        PYDAG_WEB_MODE=tokens pydag web --address 0.0.0.0
        pydag web --files dags
        pydag web --link
    """
    require_web()
    from pydag_dist import web as part
    from pydag_dist.web.settings import WebSettings

    if link:
        echo("\n".join(part.links(load_settings())))
        return
    load_settings().require_redis()
    settings = WebSettings.load()
    settings.address = settings.address if address is None else address
    settings.port = settings.port if port is None else port

    settings.files = settings.files if files is None else files

    def started(where: str, with_key: str) -> None:
        echo(f"listening on {where}")
        if with_key != where:
            echo(f"Open {with_key}")
        if opens:
            webbrowser.open(with_key)

    part.serve(load_settings(), settings, started)


@click.command()
@click.option("--add", metavar="NAME", help="Make a token for NAME, and print it: only once.")
@click.option(
    "--role", default="viewer", show_default=True,
    type=click.Choice(["viewer", "operator", "editor", "admin"]),
    help="What the new one allows.",
)  # fmt: skip
@click.option("--remove", metavar="NAME", help="Take the token of NAME back.")
def tokens(add: str | None, role: str, remove: str | None) -> None:
    """List the tokens that `pydag web` lets in; make one, or take one back.

    A viewer reads, an operator starts, cancels and resumes runs, an editor brings new DAGs, an
    admin makes tokens. Only hashes of tokens are kept.

    \b
    Examples:
        pydag tokens
        pydag tokens --add ci --role operator
        pydag tokens --remove ci
    """
    require_web()
    from pydag_dist.web.tokens import Tokens

    settings = load_settings()
    settings.require_redis()
    known = Tokens(Engine.from_url(settings.redis_url, settings.key_prefix).store)
    if add is not None:
        echo(known.add(add, role, user_at_host()))  # type: ignore[arg-type]
    elif remove is not None:
        if not known.remove(remove):
            raise PydagError(f"there is no token {remove}: `pydag tokens` lists those there are")
        echo(f"{remove}: taken back")
    else:
        rows = [
            (token.name, token.role, clock(token.created_at), token.created_by)
            for token in known.all()
        ]
        print_fitted(partial(rows_table, ("name", "role", "created", "by"), rows))


@click.command()
@click.argument("path", required=False)
@click.option(
    "--save", "source", type=DAG_FILE, metavar="FILE", help="Let it have what this file has."
)
@click.option("--etag", default="", help="The state that was edited, as --json says it.")
@click.option("-m", "--message", default="", help="Commit it, too, with this message.")
@click.option("--allow-problems", is_flag=True, help="Save it though it has problems.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the file's etag.")
def files(
    path: str | None,
    source: Path | None,
    etag: str,
    message: str,
    *,
    allow_problems: bool,
    as_json: bool,
) -> None:
    """List the DAG files that `pydag web` at PYDAG_URL shows; print one, or save one.

    A new file is saved without an etag, another one with the etag that it had when it was read, so
    that nobody overwrites what somebody else has saved meanwhile.

    \b
    Examples:
        pydag files
        pydag files team/nightly.json > nightly.json
        pydag files team/new.json --save new.json -m "A new one"
    """
    known = Client().files
    if path is None:
        paths = known.all()
        echo(json.dumps({"files": paths}, indent=2) if as_json else "\n".join(paths))
        return
    if source is None:
        found = known.read(path)
        if not as_json:
            if sys.stdout.isatty():
                echo(found.text)
            else:
                sys.stdout.buffer.write(found.text.encode())
            return
    else:
        asked = {"etag": etag, "message": message, "allow_problems": allow_problems}
        try:
            found = known.save(path, source.read_bytes().decode(), **asked)
        except (OSError, UnicodeDecodeError) as error:
            raise PydagError(f"{source} can't be read: {error}") from None
        except ChangedMeanwhile as error:
            raise PydagError(f"{path}: {error}; `pydag files {path} --json` has its etag") from None
    echo(json.dumps(asdict(found), indent=2) if as_json else f"{path}: saved, etag {found.etag}")
