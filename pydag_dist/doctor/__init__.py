"""Looks at an installation and says what is wrong with it, and what to do."""

from __future__ import annotations

from pydag_dist.doctor.finding import Finding, Level
from pydag_dist.doctor.fleet import look_at_fleet
from pydag_dist.doctor.host import look_at_host
from pydag_dist.doctor.keys import look_at_keys
from pydag_dist.doctor.server import look_at_server
from pydag_dist.engine import Engine
from pydag_dist.settings import Settings

__all__ = [
    "Finding",
    "Level",
    "look",
    "look_at_fleet",
    "look_at_host",
    "look_at_keys",
    "look_at_server",
]


def look(engine: Engine, settings: Settings) -> list[Finding]:
    """All findings, in the order in which one would mend things."""
    found = look_at_server(engine.store.redis)
    for look_further in (look_at_keys, look_at_fleet):
        if all(finding.level != "error" for finding in found):
            found += look_further(engine)
    return [*found, *look_at_host(settings, engine)]
