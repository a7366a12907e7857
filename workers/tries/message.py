"""What a message of a try says: which try it is about."""

from __future__ import annotations

from typing import Any, Final

from pydag_dist.engine import Held

POLLS: Final = "*"  # the run in the header of a message that asks for polls


def held_by(request: Any) -> Held:
    """The try that a message is about; the message's push is the fencing token."""
    header = request.pydag
    return Held(header["run"], header["task"], int(header["try"]), header["push"])
