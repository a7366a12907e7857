"""What keeps workers and coordinators among the members of an installation."""

from __future__ import annotations

from pydag_dist.dag.ids import worker_name
from pydag_dist.engine.protocol import Kind
from pydag_dist.engine.store import Role


class Membership(Role):
    """What each worker and each coordinator says of itself."""

    def register(
        self, kind: Kind, name: str, process: str, info: str, *, busy: int = 0, force: bool = False
    ) -> float | None:
        """Says that a worker or coordinator lives, for 15 s, and what it can do (`info`, JSON).

        `process` is an id of its process and, after a dot, of the modules that it has loaded. If
        another live process has that name: when that one was heard of last, in seconds of steady
        time; unless it is known to be dead (`force`).
        """
        answer = self._call("register", kind, worker_name(name), process, busy, info, int(force))
        return None if answer == "ok" else int(answer) / 1e6

    def unregister(self, kind: Kind, name: str, process: str) -> None:
        """The process of that name ends."""
        self._call("unregister", kind, worker_name(name), process)
