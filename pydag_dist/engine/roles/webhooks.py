"""The webhooks of runs that are late or have ended: coordinators take them and call them."""

from __future__ import annotations

from typing import Final, NamedTuple

from pydag_dist.engine.protocol import Notice
from pydag_dist.engine.store import Role

_KEYS: Final[dict[Notice, str]] = {"late": "late", "ended": "webhooks"}


class Due(NamedTuple):
    """A run of which webhooks are to be told: of `what`, after so many `tries`."""

    run_id: str
    what: Notice
    tries: int


class DueWebhooks(Role):
    """The runs whose webhooks are to be called, for each of two reasons."""

    def take(self, lease: float = 30) -> Due | None:
        """A run whose webhooks are due. Nobody else gets it for `lease` seconds."""
        taken = self._call("take_webhook", round(lease * 1e6))
        return Due(taken[0], taken[1], int(taken[2])) if taken else None

    def later(self, run_id: str, what: Notice, delay: float) -> None:
        """Try the run's webhooks again in `delay` seconds."""
        self._call("webhook_later", run_id, what, round(delay * 1e6))

    def put_off(self, run_id: str, what: Notice, delay: float) -> None:
        """Likewise, of webhooks that were taken and not called: that was no try."""
        self.later(run_id, what, delay)
        self._call("webhook_not_tried", run_id, what)

    def done(self, run_id: str, what: Notice) -> None:
        """The run's webhooks were called, or given up."""
        self._redis.zrem(self._key(_KEYS[what]), run_id)
