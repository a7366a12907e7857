"""What a message of a try says: which try it is about."""

from __future__ import annotations

from typing import Any, Final

from pydag_dist.engine import Held

POLLS: Final = "*"  # the run in the header of a message that asks for polls


def held_by(request: Any) -> Held:
    """The try that a message is about; the message's push is the fencing token."""
    header = request.pydag
    return Held(header["run"], header["task"], int(header["try"]), header["push"])


def header_of(held: Held) -> dict[str, str]:
    """The header of a message of a try."""
    number = str(held.try_number)
    return {"run": held.run, "task": held.task, "try": number, "push": held.token}


def celery_id(held: Held) -> str:
    """The id of the first message of a try."""
    return f"{held.run}/{held.task}/{held.try_number}"


def is_id_of(held: Held, name: str) -> bool:
    """Whether that is the id of a message of the try: further ones have their number behind."""
    first = celery_id(held)
    return name == first or name.startswith(f"{first}.")
