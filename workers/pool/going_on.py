"""Which processes of the pool have gone on from their message's try to others.

The parent knows a process by the message that it gave to it. The try of that message may be over,
and the process may run another one. So before the parent ends a process for the sake of a try, it
keeps the process from going on, and then looks which try runs there.
"""

from __future__ import annotations

import os

from workers.pool.by_process import ByProcess

_RELEASES, _IS_FURTHER = 1, 2  # it releases its message's try and may go on; it has gone on
_gone_on, _kept_back = ByProcess(), ByProcess()


def begin_message() -> None:
    """In the process: it begins with the try of a message."""
    at = os.getpid()
    _gone_on[at] = _kept_back[at] = 0


def go_on() -> bool:
    """In the process, before it releases a try: it may go on with another one, unless kept back."""
    at = os.getpid()
    before = _gone_on[at]
    # In this order: either the parent sees that it may go on, or it sees that it is kept back.
    _gone_on[at] = before or _RELEASES
    if _kept_back[at]:
        _gone_on[at] = before
        return False
    return True


def went_on() -> None:
    """In the process: its message's try is over, and it has another one."""
    _gone_on[os.getpid()] = _IS_FURTHER


def stay() -> None:
    """In the process: there was nothing that it could have gone on with."""
    _gone_on[os.getpid()] = 0


def has_gone_on(pid: int | None) -> bool:
    """In the parent: whether the try of the process's message is over, or about to be released."""
    return pid is not None and _gone_on[pid] != 0


def is_releasing(pid: int | None) -> bool:
    """In the parent: whether the end of its message's try may not have reached Redis yet."""
    return pid is not None and _gone_on[pid] == _RELEASES


def keep_back(pid: int) -> None:
    """In the parent: the process takes nothing more before its next message."""
    _kept_back[pid] = 1
