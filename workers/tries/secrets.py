"""The secrets that a task's templates name, when its try begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from workers import operators
from workers.contract.context import TaskContext
from workers.errors import HostLacks, TaskFailed
from workers.operators import RemoteOperator
from workers.pool.output import capture
from workers.secrecy import masks, sources

MOST_TOGETHER: Final = 60_000  # bytes of a task's secrets


def secrets_of(context: TaskContext, names: Sequence[str]) -> dict[str, str]:
    """The values by their names, which from now on are hidden in all that this try writes.

    `HostLacks` if this worker has not got one of them.
    """
    if context.cache_seconds is not None or isinstance(
        operators.find(context.operator), RemoteOperator
    ):
        raise TaskFailed(
            f"a task of {context.operator} can't have secrets: what it tells a service is shown "
            "there, and a result that is kept is found by its params",
            final=True,
        )
    found = {name: sources.checked(name, _value(context, name)) for name in names}
    if sum(len(value.encode(errors="surrogatepass")) for value in found.values()) > MOST_TOGETHER:
        raise TaskFailed(f"its secrets have more than {MOST_TOGETHER:,} bytes", final=True)
    masks.hide_from_now(masks.Masks(found.values()))
    if own := capture.own():
        own.hide(list(found.values()))
    return found


def _value(context: TaskContext, name: str) -> str:
    settings = context.settings
    if (value := sources.find(name, settings.secrets)) is not None:
        return value
    if settings.secret_project:
        from workers.google.secret_manager import secret  # noqa: PLC0415  imported by few tasks

        return secret(name, settings.secret_project, settings)
    raise HostLacks(
        f"the secret {name} is not here: set {sources.VARIABLE}{name}, or see docs/security.md",
        f"secret:{name}",
    )
