"""The JSON that clients send."""

from __future__ import annotations

import json
from typing import Any


def json_of(text: bytes) -> Any:
    """The value that is written.

    Raises:
        ValueError: it is no JSON, is nested too deeply, or has half of a pair of UTF-16.

    """
    try:
        value = json.loads(text)
        if b"\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value
