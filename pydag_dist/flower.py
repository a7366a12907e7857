"""`python -m pydag_dist.flower -A workers flower …`: Celery's command, and Flower fenced off.

Flower by itself keeps pages of other origins away only where it asks for a password.
"""

from __future__ import annotations

import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import flower.command
from celery.__main__ import main as celery
from flower.app import Flower
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from pydag_dist.fence import refusal


class _Refused(RequestHandler):
    def prepare(self) -> None:
        """Answer any method."""
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{self.path_args[0]}\n")

    def check_xsrf_cookie(self) -> None:
        """Nothing: it is refused anyway."""


class FencedFlower(Flower):  # type: ignore[misc]  # Flower has no types
    """Flower that answers no pages but its own."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Who answers the request."""
        headers = request.headers.get_all()
        if reason := refusal(headers, any_host=not self._on_this_machine()):
            return self.get_handler_delegate(request, _Refused, path_args=[reason.encode()])
        return super().find_handler(request, **kwargs)

    def _on_this_machine(self) -> bool:
        address = self.options.address
        try:
            return address == "localhost" or ip_address(address).is_loopback
        except ValueError:
            return False


def main() -> None:
    """Become Celery's command."""
    # Last on the path: Celery would put it first, and a folder `workers` there before our package.
    sys.path.append(str(Path.cwd()))
    flower.command.Flower = FencedFlower
    celery()


if __name__ == "__main__":
    main()
