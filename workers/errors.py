"""The errors of a worker's operators, below `pydag_dist.errors.PydagError`.

```
PydagError
├── TaskFailed          the work itself failed; if it is `final`, repeating it would change nothing
│   └── HostLacks       it could not begin: this worker's host lacks what another one may have
│   └── Refused         the service did not look at it: no rights, no credentials, no such place
├── RemoteStateUnknown  a remote service could not be asked how its job is
│   └── RemoteJobLost   for so long that somebody has to look
└── TryUnknown          Redis has lost what the try needs to begin
```

Any other exception that leaves an operator is unexpected: its traceback belongs into the log.
"""

from __future__ import annotations

from pydag_dist.errors import PydagError, TaskFailed

__all__ = [
    "HostLacks",
    "Refused",
    "RemoteJobLost",
    "RemoteStateUnknown",
    "TaskFailed",
    "TryUnknown",
]


class Refused(TaskFailed):
    """A service did not get as far as looking at a request; it says nothing of an earlier one."""


class HostLacks(TaskFailed):
    """The host can't run the task, another one may be able to: the try is given back.

    `need` is what is missing here, as "kind:name"; workers that refused for the same need are not
    asked for a while.
    """

    def __init__(self, message: str, need: str) -> None:
        super().__init__(message)
        self.need = need


class RemoteStateUnknown(PydagError):
    """Nobody can tell whether the remote job runs: the same try must ask again, not a new one.

    `lasting`: the service did answer, and by itself that answer will hardly become another one.
    """

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class RemoteJobLost(RemoteStateUnknown):
    """For too long nobody could tell: the task ends with its try, and a resumed run asks again."""


class TryUnknown(PydagError):
    """By what Redis knows nobody holds the try, so nor may it know what its params need.

    It has not begun: the same try must, wherever Redis gets its run back.
    """
