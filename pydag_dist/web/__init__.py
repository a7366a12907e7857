"""`pydag web`: an installation as a service: REST, live streams, and the interface."""

from __future__ import annotations

from pydag_dist.web.serve import links, serve

__all__ = ["links", "serve"]
