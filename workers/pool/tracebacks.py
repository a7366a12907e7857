"""Tracebacks that begin in the code of the task's author, without the frames that called it."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path
from types import TracebackType

_WORKERS = Path(__file__).parents[1]
_CALLING_FOLDERS = {_WORKERS, _WORKERS / "tries", Path(asyncio.__file__).parent}
# Operators of this package are the code that has failed, if they are on the way.
_CALLERS = {
    _WORKERS / "contract" / "operator.py",
    _WORKERS / "operators" / "python" / "call.py",
    _WORKERS / "operators" / "python" / "coroutines.py",
}


def cut(error: BaseException) -> str:
    """Leave out of an error's tracebacks what called the task's own code; the rest as text."""
    seen: set[int] = set()
    next_error: BaseException | None = error
    while next_error is not None and id(next_error) not in seen:
        seen.add(id(next_error))
        next_error.__traceback__ = _own_part(next_error.__traceback__)
        next_error = next_error.__cause__ or next_error.__context__
    return "".join(traceback.format_exception(error))


def _own_part(trace: TracebackType | None) -> TracebackType | None:
    """The part behind the callers; all of it, if it has nothing else."""
    found = trace
    while found is not None and _calls(Path(found.tb_frame.f_code.co_filename)):
        found = found.tb_next
    return found or trace


def _calls(file: Path) -> bool:
    return file.parent in _CALLING_FOLDERS or file in _CALLERS
