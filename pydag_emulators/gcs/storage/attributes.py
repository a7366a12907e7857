"""Extended file attributes: they keep the metadata of an object with its file."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from pydag_emulators.errors import CannotStart
from pydag_emulators.gcs.errors import unimplemented

_NAME = "user.pydag"
_TOO_LARGE = (errno.ENOSPC, errno.E2BIG, errno.ERANGE)


def read(path: Path) -> dict[str, Any]:
    """The JSON object in the attribute of `path`, empty if there is none; `FileNotFoundError`."""
    # Only Linux's os module knows extended attributes; on macOS the xattr command does.
    if hasattr(os, "getxattr"):
        try:
            text = os.getxattr(path, _NAME)
        except FileNotFoundError:
            raise
        except OSError:  # ENODATA: no such attribute
            return {}
    else:
        command = ["xattr", "-p", _NAME, str(path)]
        text = subprocess.run(command, capture_output=True, check=False).stdout
    with contextlib.suppress(ValueError):
        known: dict[str, Any] = json.loads(text)
        return known
    return {}


def write(path: Path, value: dict[str, Any]) -> None:
    """Write `value` to the attribute of `path`; a 501 if the file system has no room for it."""
    text = json.dumps(value, separators=(",", ":"))
    try:
        _set(path, text)
    except OSError as error:
        if error.errno in _TOO_LARGE:
            raise unimplemented(f"metadata of {len(text)} bytes on this file system") from None
        raise


def _set(path: Path, text: str) -> None:
    if hasattr(os, "setxattr"):
        os.setxattr(path, _NAME, text.encode())
        return
    command = ["xattr", "-w", _NAME, text, str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise OSError(0, "the xattr command failed")


def check(directory: Path) -> None:
    """Create `directory`; `CannotStart` if its file system has no extended attributes."""
    directory.mkdir(parents=True, exist_ok=True)
    probe = directory / f".xattr-probe-{os.getpid()}"
    try:
        probe.write_bytes(b"")
        write(probe, {})
    except OSError as error:
        message = (
            f"local Cloud Storage keeps what it knows about objects in extended file attributes, "
            f"and the file system of {directory} refuses them ({error.strerror}): choose "
            "a directory (PYDAG_HOME) on another one, for instance ext4, xfs, btrfs or apfs"
        )
        raise CannotStart(message) from None
    finally:
        probe.unlink(missing_ok=True)
