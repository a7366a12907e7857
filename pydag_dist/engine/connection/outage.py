"""How often a log tells that something is away."""

from __future__ import annotations

import math
import time
from typing import Final

QUIET: Final = 10.0  # seconds after which the same trouble is another outage


class Outage:
    """One loop's outages, each of which its log tells once although calls in between succeed."""

    def __init__(self) -> None:
        self._trouble = ""
        self._last = -math.inf

    def begins_with(self, trouble: str) -> bool:
        """Note a failed call; whether its trouble is new, or comes again after `QUIET` seconds."""
        now = time.monotonic()
        is_new = trouble != self._trouble or now - self._last > QUIET
        self._trouble, self._last = trouble, now
        return is_new
