"""Server-sent events, as `pydag web` sends them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any, Final, NamedTuple

MOST_BYTES: Final = 2**26  # of a line: the tasks of the biggest run are 2 MB


class Frame(NamedTuple):
    """An event: what kind it is, what it says, and the id by which one goes on after it."""

    kind: str
    data: Any
    id: str


def frames_of(response: HTTPResponse) -> Iterator[Frame]:
    """The frames of a stream until it is closed; a `ValueError` becomes a cut."""
    kind, data, last = "", "", ""
    while line := response.readline(MOST_BYTES):
        if not line.endswith(b"\n"):
            raise ConnectionError("a frame was cut off")
        name, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data += value
        elif name == "id":
            last = value
        elif not line.strip() and kind:
            try:
                yield Frame(kind, json.loads(data or "null"), last)
            except ValueError:
                raise ConnectionError("a frame can't be read") from None
            kind, data, last = "", "", ""
