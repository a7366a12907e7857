"""Why a database does not do something: waiting helps if it is away, and not if it refuses."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from pydag_dist.engine.connection import trouble_of

# https://www.postgresql.org/docs/current/errcodes-appendix.html: a login, a database, a right.
_CODES: Final = ("28", "3D000", "42501")
# An error of connecting has no code, only a text of the server or of libpq.
_TEXTS: Final = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "is not permitted to log in",
    "permission denied",
)
_FATAL: Final = "FATAL:"


def reason_of(error: Exception) -> str:
    """What the driver, or else the error itself, says in its first line."""
    return trouble_of(getattr(error, "orig", None) or error).partition("\n")[0]


def refusal(error: sa.exc.SQLAlchemyError) -> str:
    """What the database says if it refuses the user, the password or the database's name, or "".

    Its own word is needed: a server that starts, or has no connection left, is only away.
    """
    cause = getattr(error, "orig", None)
    text = reason_of(error)
    code = getattr(cause, "sqlstate", None)
    if code is not None:
        return text if code.startswith(_CODES) else ""
    missing = _FATAL in text and "does not exist" in text
    return text if missing or any(part in text for part in _TEXTS) else ""
