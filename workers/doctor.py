"""What a worker on this host would lack: `python -m workers.doctor` prints it as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

from pydag_dist.errors import InvalidSettings
from workers.errors import TaskFailed
from workers.settings import WorkerSettings

_LOCAL: Final = ("BIGQUERY_EMULATOR_HOST", "STORAGE_EMULATOR_HOST", "DATAPROC_EMULATOR_HOST")


def findings() -> Iterator[dict[str, str]]:
    """Each with `level`, `what` and `advice`."""
    try:
        settings = WorkerSettings.load()
    except InvalidSettings as error:
        yield _found("error", f"the worker's settings: {error}", "mend them")
        return
    sys.path.append("")  # as `pydag worker` does
    for module in settings.imports:
        try:
            import_module(module)
        except Exception as error:  # noqa: BLE001  whatever a module does
            why = f"{type(error).__name__}: {error}"
            yield _found("error", f"the module {module} can't be imported: {why}", "mend it")
        else:
            yield _found("ok", f"the module {module} can be imported", "")
    yield from _google(settings)


def _google(settings: WorkerSettings) -> Iterator[dict[str, str]]:
    try:
        from google.auth.transport.requests import Request  # noqa: PLC0415  an extra

        from workers.google.access import access_to, credentials  # noqa: PLC0415
    except ModuleNotFoundError:
        yield _found(
            "warning",
            "Google's packages are not installed: only the queue python is served",
            "pip install 'pydag-dist[worker]'",
        )
        return
    if local := [name for name in _LOCAL if os.environ.get(name)]:
        yield _found("ok", f"local services stand in for Google ({', '.join(local)})", "")
        return
    for name in [*settings.connections, *([] if settings.connections else [None])]:
        what = f"the connection {name}" if name else "this host's own Google credentials"
        try:
            found, project = credentials(access_to(settings, name))
            found.refresh(Request())  # type: ignore[no-untyped-call]
        except TaskFailed as error:
            yield _found("error", f"{what}: {error}", "see docs/google.md")
        except Exception as error:  # noqa: BLE001  of Google's, of many kinds
            why = str(error).strip().partition("\n")[0][:300]
            advice = "run `gcloud auth application-default login`, or name a key_file"
            yield _found("error", f"{what} can't be used ({why})", advice)
        else:
            yield _found("ok", f"{what} can be used, in the project {project}", "")


def _found(level: str, what: str, advice: str) -> dict[str, str]:
    return {"level": level, "what": what, "advice": advice}


def main() -> None:
    """Print the findings."""
    told: list[dict[str, Any]] = list(findings())
    sys.__stdout__.write(json.dumps(told))  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
