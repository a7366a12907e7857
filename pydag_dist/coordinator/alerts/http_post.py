"""One POST to a webhook."""

from __future__ import annotations

from collections.abc import Callable

from pydag_dist.coordinator.alerts.call import Call
from pydag_dist.coordinator.line import Line


class Post(Call):
    """A POST of JSON, which any answer of 2xx takes."""

    def __init__(self, url: str, body: Callable[[], bytes], done: Callable[[], None]) -> None:
        super().__init__(body, done)
        self._url = url

    def _call(self, body: bytes) -> str | None:
        return Line(self._url, {}, self._connect).post_once(body, self._left())
