"""The web part in this process: requests without a network."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI

from pydag_dist.settings import link_file, load_settings
from pydag_dist.web.app import create_app
from pydag_dist.web.entry.access import LocalKeys, cookie_name
from pydag_dist.web.settings import WebSettings
from pydag_dist.web.site import Site

BASE = "http://localhost"
OURS = {"X-Pydag": "1"}


class Web:
    """Asks an application of its own, in mode local as a browser that was let in."""

    def __init__(self, *, cookie: str | None = None, **settings: Any) -> None:
        self.site = Site(load_settings(), WebSettings(**settings))
        self.keys = LocalKeys(link_file(self.site.settings.home, 8080))
        self.app = create_app(self.site, self.keys)
        self.cookie = self.keys._cookie if cookie is None else cookie

    @staticmethod
    def application() -> FastAPI:
        """The application behind its gate."""
        return Web().app.app

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The whole answer."""
        headers = options.pop("headers", {})
        if self.cookie:
            name = cookie_name(headers.get("Host", ""))
            headers = {"Cookie": f"{name}={self.cookie}", **headers}

        async def asking() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                return await client.request(method, path, headers=headers, **options)

        return asyncio.run(asking())

    def get(self, path: str, **options: Any) -> httpx.Response:
        """The answer to a GET."""
        return self.ask("GET", path, **options)
