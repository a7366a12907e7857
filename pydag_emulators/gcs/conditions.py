"""Preconditions: https://cloud.google.com/storage/docs/request-preconditions."""

from __future__ import annotations

from collections.abc import Mapping

from pydag_emulators.gcs.errors import Refused, condition_not_met, number
from pydag_emulators.gcs.storage.buckets import CheckOfBucket
from pydag_emulators.gcs.storage.objects import Check, Object

_NAMES = (
    "GenerationMatch",
    "GenerationNotMatch",
    "MetagenerationMatch",
    "MetagenerationNotMatch",
)


def check_of(query: Mapping[str, str], *, start: str = "if", read: bool = False) -> Check:
    """A function that raises unless the conditions of a request hold.

    `start` is "ifSource" for the conditions of a source. A generation of 0 means that there is no
    such object. For a `read`, the answer is a 304 if a condition such as ifGenerationNotMatch
    fails.
    """
    wanted = {
        name: number(key, query[key]) for name in _NAMES if (key := f"{start}{name}") in query
    }

    def check(found: Object | None) -> None:
        for name, expected in wanted.items():
            if name.startswith("Meta"):
                actual = found.metageneration if found else None
            else:
                actual = found.generation if found else 0
            _check(f"{start}{name}", expected, actual, read=read)

    return check


def check_of_bucket(query: Mapping[str, str], *, read: bool = False) -> CheckOfBucket:
    """As `check_of`, of a bucket, which has no generation."""
    wanted = {key: number(key, query[key]) for name in _NAMES[2:] if (key := f"if{name}") in query}

    def check(metageneration: int) -> None:
        for key, expected in wanted.items():
            _check(key, expected, metageneration, read=read)

    return check


def check_tag(headers: Mapping[str, str], tag: str) -> None:
    """Raise unless If-Match and If-None-Match of a read hold for the etag of what it found."""
    if (expected := headers.get("if-match")) is not None:
        _check("If-Match", expected.strip('"'), tag, read=True)
    if (expected := headers.get("if-none-match")) is not None:
        _check("If-None-Match", expected.strip('"'), tag, read=True)


def _check(key: str, expected: object, actual: object, *, read: bool) -> None:
    is_not = "Not" in key or "None" in key
    if (actual == expected) == is_not:
        if read and is_not:
            raise Refused(304, "notModified", "")
        raise condition_not_met(f"{key}={expected}, it is {actual}")
