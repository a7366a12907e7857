"""The modules that ``python.call`` may call: loaded before the first task, anew once they changed.

Each process of the pool loads them for itself. What its files are it looks at before a task, at
most once a second: if one has changed, all that came from the same folders is loaded anew, so that
no task meets old code beside new. A version that can't be loaded answers nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from celery.signals import worker_process_init

from workers.errors import HostLacks
from workers.process import worker_settings

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds
COARSE = 100_000_000  # ns by which a file's time may be before it was written

_OUR_OWN = frozenset({"pydag_dist", "workers", "__main__", "__mp_main__"})
_LIBRARIES = tuple(
    Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib")
)

Stamp = tuple[int, int]


class Modules:
    """The allowed modules of this process, and everything of their folders that they imported."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = tuple(allowed)
        self._tops = {name.partition(".")[0] for name in self._allowed}
        self._files: dict[str, Stamp | None] = {}
        self._seen = 0  # modules of the process when `_files` was made
        self._problems: dict[str, str] = {}  # module -> why it can't be loaded
        self._looked = 0.0
        self._noted = 0  # when `_note_files` was called last, by the clock, in ns
        self.generation = 0  # how often they were loaded

    def load(self) -> dict[str, str]:
        """Import all of them; why some can't be, by module."""
        self.generation += 1
        self._noted = time.time_ns()
        self._problems.clear()
        importlib.invalidate_caches()
        for name in self._allowed:
            self._import(name)
        self._note_files()
        self._looked = time.monotonic()
        return dict(self._problems)

    def refresh(self) -> None:
        """Load them anew if a file of theirs has changed, or if some could not be loaded."""
        if time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        self._note_files()
        changed = sorted(file for file, stamp in self._files.items() if _stamp(file) != stamp)
        if not changed:
            for name in list(self._problems):
                self._import(name)
            return
        log.warning("%s changed: its modules are loaded anew", ", ".join(changed))
        for name, _ in list(self._theirs()):
            del sys.modules[name]
        self._files.clear()
        for name, problem in self.load().items():
            log.error("module %s can't be loaded, its tasks are given back: %s", name, problem)

    def get(self, name: str) -> ModuleType:
        """An allowed module, or one below it; `HostLacks` if it can't be loaded here."""
        if (module := self._import(name)) is None:
            raise HostLacks(
                f"module {name} can't be loaded on this worker: {self._problems[name]}",
                f"module:{name}",
            )
        return module

    def _import(self, name: str) -> ModuleType | None:
        written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:  # a cached one knows its source's time to the second only
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:  # noqa: BLE001  it runs any code
            self._problems[name] = f"{type(error).__name__}: {error}"
            return None
        finally:
            sys.dont_write_bytecode = written
        self._problems.pop(name, None)
        return module

    def _note_files(self) -> None:
        before, self._noted = self._noted, time.time_ns()
        if len(sys.modules) == self._seen and self._files:
            return
        for _, file in self._theirs():
            if file not in self._files:
                stamp = _stamp(file)
                # It may have been written after it was imported: then it has changed.
                recent = stamp and before - COARSE <= stamp[0] <= self._noted
                self._files[file] = None if recent else stamp
        self._seen = len(sys.modules)

    def _theirs(self) -> Iterator[tuple[str, str]]:
        """Names and files of what was loaded from the folders of the allowed modules."""
        loaded = [
            (name, file)
            for name, module in list(sys.modules.items())
            if isinstance(file := getattr(module, "__file__", None), str)
        ]
        tops = [sys.modules[top] for top in self._tops if top in sys.modules]
        roots = {root for top in tops for root in _roots(top) if not _is_library(root)}
        for name, file in loaded:
            top = name.partition(".")[0]
            path = Path(file)
            if top in _OUR_OWN:
                continue
            if top in self._tops or (
                not _is_library(path) and any(path.is_relative_to(root) for root in roots)
            ):
                yield name, file


def _roots(top: ModuleType) -> list[Path]:
    """The folders of the path from which a top-level module came."""
    if hasattr(top, "__path__"):  # a package; one without a file may be in several
        return [Path(folder).parent for folder in top.__path__]
    file = getattr(top, "__file__", None)  # a built-in one has none
    return [Path(file).parent] if file else []


def _is_library(path: Path) -> bool:
    return "site-packages" in path.parts or any(path.is_relative_to(lib) for lib in _LIBRARIES)


def _stamp(file: str) -> Stamp | None:
    try:
        status = os.stat(file)  # noqa: PTH116  once a second for each file
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


_of_process: dict[tuple[int, tuple[str, ...]], Modules] = {}


def modules(allowed: tuple[str, ...]) -> Modules:
    """Those of this process."""
    key = os.getpid(), allowed
    if key not in _of_process:
        _of_process.clear()
        _of_process[key] = Modules(allowed)
    return _of_process[key]


@worker_process_init.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _load(**_: object) -> None:
    allowed = worker_settings().imports
    for name, problem in modules(allowed).load().items():
        log.error("module %s can't be loaded, its tasks are given back: %s", name, problem)


def problems(allowed: tuple[str, ...]) -> str:
    """What a process of its own finds that tries to load them; empty if nothing is wrong."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        found = Modules(allowed).load()
        text = "; ".join(f"module {name} can't be imported: {why}" for name, why in found.items())
        os.write(writer, text.encode(errors="replace")[:4000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        text = stream.read().decode(errors="replace")
    _, status = os.waitpid(pid, 0)
    if status:
        return f"the process that imported {', '.join(allowed)} ended with status {status}"
    return text
