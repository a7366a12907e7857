"""What keeps workers and coordinators among the members of an installation."""

from __future__ import annotations

from pydag_dist.dag.ids import worker_name
from pydag_dist.engine.protocol import Kind
from pydag_dist.engine.store import Role
from pydag_dist.errors import LeaseMismatch


class Membership(Role):
    """What each worker and each coordinator says of itself."""

    def register(
        self,
        kind: Kind,
        name: str,
        process: str,
        info: str,
        *,
        busy: int = 0,
        lease: float = 15.0,
        force: bool = False,
    ) -> float | None:
        """Says that a worker or coordinator lives, for a lease, and what it can do (`info`, JSON).

        `process` is an id of its process and, after a dot, of the modules that it has loaded. If
        another live process has that name: when that one was heard of last, in seconds of steady
        time; unless it is known to be dead (`force`). `LeaseMismatch` if live workers and
        coordinators have another `lease`, in seconds, than this one.
        """
        microseconds = round(lease * 1e6)
        answer: str = self._call(
            "register", kind, worker_name(name), process, busy, info, microseconds, int(force)
        )
        if answer.startswith("lease "):
            theirs = int(answer.removeprefix("lease ")) / 1e6
            raise LeaseMismatch(
                f"the lease is {lease:g} s here (PYDAG_LEASE), and {theirs:g} s for the workers "
                "and coordinators that use this Redis: give all of them the same; to change it, "
                f"end them all, and start them {theirs:g} s later"
            )
        return None if answer == "ok" else int(answer) / 1e6

    def unregister(self, kind: Kind, name: str, process: str) -> None:
        """The process of that name ends."""
        self._call("unregister", kind, worker_name(name), process)
