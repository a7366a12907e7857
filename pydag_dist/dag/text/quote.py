"""How messages show a value that is wrong."""

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
