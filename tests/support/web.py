"""The web part in this process: requests without a network."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from pydag_dist.settings import load_settings
from pydag_dist.web.app import create_app
from pydag_dist.web.settings import WebSettings
from pydag_dist.web.site import Site

BASE = "http://localhost"
OURS = {"X-Pydag-Request": "1"}


class Web:
    """Asks an application of its own, as a program on this host does."""

    def __init__(self, **settings: Any) -> None:
        self.site = Site(load_settings(), WebSettings(**settings))
        self.app = create_app(self.site)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The whole answer."""

        async def asking() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                return await client.request(method, path, **options)

        return asyncio.run(asking())

    def get(self, path: str, **options: Any) -> httpx.Response:
        """The answer to a GET."""
        return self.ask("GET", path, **options)
