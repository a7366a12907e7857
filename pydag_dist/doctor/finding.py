"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """Something that is right, or what is wrong and what to do about it."""

    level: Level
    what: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.advice}" if self.advice else self.what


def ok(what: str) -> Finding:
    """Something that is right."""
    return Finding("ok", what)


def warning(what: str, advice: str) -> Finding:
    """Something that works, and had better be otherwise."""
    return Finding("warning", what, advice)


def error(what: str, advice: str) -> Finding:
    """Something that keeps runs from going on, or loses them."""
    return Finding("error", what, advice)
