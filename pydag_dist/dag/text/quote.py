"""How messages show a value that is wrong, and how many there are of something."""

from __future__ import annotations

import json
from typing import Any


def quote(value: Any, limit: int = 60) -> str:
    """A value as a message shows it: JSON on one line, cut when long."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        text = f"a Python {type(value).__name__}"
    text = text.encode("utf-8", "backslashreplace").decode()  # half a character can't be printed
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def with_article(noun: str) -> str:
    """A noun, or a type's name, after "a" or "an" by its first letter."""
    return f"{'an' if noun[:1].lower() in set('aeiou') else 'a'} {noun}"


def counted(number: int, noun: str) -> str:
    """A number with its noun: "no task", "1 task", "2,000 tasks"."""
    return f"{number or 'no':{',' if number else ''}} {noun}{'' if number == 1 else 's'}"
