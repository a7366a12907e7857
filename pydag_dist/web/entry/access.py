"""Who asks: by a cookie, by a token, or as a proxy says."""

from __future__ import annotations

from dataclasses import dataclass

from pydag_dist.web.settings import Role


@dataclass(frozen=True)
class Principal:
    """Somebody who is known, and that one's role."""

    name: str
    role: Role
