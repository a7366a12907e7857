"""Loads the engine's Lua files as one script."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

# The order matters: each file uses what those before it define.
PARTS = ("table", "record", "queue", "outcome", "plan", "lease", "tick", "dispatch")


@cache
def source() -> str:
    """The text of the one script that is the engine."""
    folder = files("pydag_dist.engine").joinpath("lua")
    return "\n".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in PARTS)
