"""Tracebacks that begin where the author's code does: with no frame of what called it."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path
from types import TracebackType

_WORKERS = Path(__file__).parents[1]
_ASYNCIO = Path(asyncio.__file__).parent
# Operators of this package are the code that has failed, if they are on the way.
_CALLERS = {_WORKERS / "contract" / "operator.py", _WORKERS / "operators" / "python" / "call.py"}


def cut(error: BaseException) -> str:
    """Leave out of an error's tracebacks what called the task's own code; the rest as text."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        one.__traceback__ = _own_part(one.__traceback__)
        one = one.__cause__ or one.__context__
    return "".join(traceback.format_exception(error))


def _own_part(trace: TracebackType | None) -> TracebackType | None:
    """The whole, if all of it called."""
    found = trace
    while found is not None and _calls(Path(found.tb_frame.f_code.co_filename)):
        found = found.tb_next
    return found or trace


def _calls(file: Path) -> bool:
    return file.parent in (_WORKERS, _ASYNCIO) or file in _CALLERS
