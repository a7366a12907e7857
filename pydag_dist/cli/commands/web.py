"""The command that becomes the web part of an installation."""

from __future__ import annotations

from importlib.util import find_spec

import click

from pydag_dist.errors import PydagError
from pydag_dist.settings import load_settings


@click.command()
@click.option("--address", metavar="ADDRESS", help="Where it listens. [127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="[8080]; 0: a free one.")
def web(address: str | None, port: int | None) -> None:
    """Serve the interface and its REST routes: runs live, in the browser and for programs.

    It listens on this host only, unless PYDAG_WEB_MODE says how others are let in.

    \b
    Examples:
        pydag web
        pydag web --port 8090
    """
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise PydagError("The web part is not installed: pip install 'pydag-dist[web]'")
    from pydag_dist.web import serve
    from pydag_dist.web.settings import WebSettings

    settings = WebSettings.load()
    settings.address = settings.address if address is None else address
    settings.port = settings.port if port is None else port
    serve(load_settings(), settings)
