"""The webhooks of runs that have ended: coordinators take them and call them."""

from __future__ import annotations

from pydag_dist.engine.store import Role


class DueWebhooks(Role):
    """The ended runs whose webhooks are to be called."""

    def take(self, lease: float = 30) -> tuple[str, int] | None:
        """An ended run whose webhooks are due, and how often they were tried before.

        Nobody else gets it for `lease` seconds.
        """
        taken = self._call("take_webhook", round(lease * 1e6))
        return (taken[0], int(taken[1])) if taken else None

    def later(self, run_id: str, delay: float) -> None:
        """Try the run's webhooks again in `delay` seconds."""
        self._call("webhook_later", run_id, round(delay * 1e6))

    def put_off(self, run_id: str, delay: float) -> None:
        """Likewise, of webhooks that were taken and not called: that was no try."""
        self.later(run_id, delay)
        self._call("webhook_not_tried", run_id)

    def done(self, run_id: str) -> None:
        """The run's webhooks were called, or given up."""
        self._redis.zrem(self._key("webhooks"), run_id)
