"""Objects as files `<root>/<bucket>/<object>`, whose metadata are extended attributes.

Files that other programs wrote, such as Spark or the local BigQuery, are objects, too. They get
their attribute when somebody first asks for them, and a new one when they have been written again.
All changes are atomic renames under one lock, so that preconditions hold.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import fcntl
import hashlib
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import google_crc32c

from pydag_emulators.buckets import FOLDER
from pydag_emulators.errors import CannotStart
from pydag_emulators.gcs import attributes
from pydag_emulators.gcs.errors import Refused, invalid, no_bucket, no_object, unimplemented

_BLOCK = 1 << 20
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_UNFINISHED = ".unfinished"  # below the root; no bucket begins with a dot

# What a client may set, and finds again.
SETTABLE = (
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "customTime",
    "metadata",
    "storageClass",
)
_ALWAYS = ("contentType", "storageClass")  # an object has these whatever a client sets
Check = Callable[["Object | None"], None]


@dataclass(frozen=True)
class Object:
    """One generation of an object."""

    bucket: str
    name: str
    path: Path
    known: dict[str, Any]

    @property
    def generation(self) -> int:
        """A number that no other content of this name has."""
        return int(self.known["generation"])

    @property
    def metageneration(self) -> int:
        """How many times the metadata of this generation were written."""
        return int(self.known["metageneration"])

    @property
    def size(self) -> int:
        """In bytes."""
        return int(self.known["size"])


class Content:
    """Bytes that are to become an object: a file beside the buckets."""

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self.path = path
        self._file: BinaryIO = path.open("ab" if append else "wb")

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)

    def copy(self, source: Path, start: int, length: int) -> None:
        """Append a part of a file."""
        with source.open("rb") as file:
            file.seek(start)
            while length and (block := file.read(min(_BLOCK, length))):
                self._file.write(block)
                length -= len(block)

    def close(self) -> int:
        """Close the file; its size. What was written survives a kill -9."""
        self._file.close()
        return self.path.stat().st_size


class Objects:
    """All buckets below `root`, which no other process may serve at the same time."""

    def __init__(self, root: Path) -> None:
        attributes.check(root)
        self.root = root
        self.unfinished = root / _UNFINISHED
        self.unfinished.mkdir(exist_ok=True)
        self.lock = threading.RLock()
        self._last_generation = 0
        self._claim = os.open(self.unfinished / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another local Cloud Storage serves {root}: end it, or choose another one"
            raise CannotStart(message) from None
        week_ago = time.time() - 7 * 24 * 3600  # as Google keeps uploads that nobody goes on with
        for left in self.unfinished.iterdir():
            if left.name != "lock" and left.stat().st_mtime < week_ago:
                left.unlink()

    # Buckets

    def make_bucket(self, name: str, known: dict[str, Any]) -> dict[str, Any]:
        """Create a bucket."""
        if not _BUCKET.fullmatch(name):
            raise invalid(f"Invalid bucket name: '{name}'")
        try:
            (self.root / name).mkdir()
        except FileExistsError:
            message = "Your previous request to create the named bucket succeeded and you own it."
            raise Refused(409, "conflict", message) from None
        attributes.write(self.root / name, {"timeCreated": now(), **known})
        return self.bucket(name)

    def change_bucket(
        self, name: str, changes: Mapping[str, Any], metageneration: str | None
    ) -> dict[str, Any]:
        """Set fields, and labels one by one, where None deletes one; `metageneration`, if it is.

        A 412 unless that is the bucket's now.
        """
        with self.lock:
            known = attributes.read(self.bucket_path(name))
            now_is = int(known.get("metageneration", 1))
            if metageneration not in (None, str(now_is)):
                raise Refused(412, "conditionNotMet", "At least one of the pre-conditions failed.")
            labels = {**(known.get("labels") or {}), **(changes.get("labels") or {})}
            labels = {key: value for key, value in labels.items() if value is not None}
            known |= {**changes, "labels": labels, "metageneration": str(now_is + 1)}
            attributes.write(self.bucket_path(name), known | {"updated": now()})
        return self.bucket(name)

    def bucket(self, name: str) -> dict[str, Any]:
        """What is known of a bucket."""
        return {"name": name, **attributes.read(self.bucket_path(name))}

    def bucket_path(self, name: str) -> Path:
        """Its directory."""
        path = self.root / name
        if not _BUCKET.fullmatch(name) or not path.is_dir():
            raise no_bucket(name)
        return path

    def buckets(self) -> list[str]:
        """All names."""
        return sorted(path.name for path in self.root.iterdir() if path.name[:1] != ".")

    def drop_bucket(self, name: str) -> None:
        """Delete an empty bucket."""
        with self.lock:
            if next(self.names(name), None) is not None:
                raise Refused(409, "conflict", "The bucket you tried to delete is not empty.")
            for folder, _, _ in os.walk(self.bucket_path(name), topdown=False):
                Path(folder).rmdir()

    # Objects

    def names(self, bucket: str, prefix: str = "") -> Iterator[str]:
        """Names that begin with `prefix`, in no order."""
        root = self.bucket_path(bucket)
        folder, _, _ = prefix.rpartition("/")
        for parent, _, files in os.walk(root / folder if folder else root):
            below = os.path.relpath(parent, root)
            start = "" if below == "." else f"{below}/"
            for file in files:
                name = start if file == FOLDER else f"{start}{file}"
                if name.startswith(prefix) and not self._is_strange(Path(parent, file)):
                    yield name

    def find(self, bucket: str, name: str) -> Object | None:
        """The object of that name, if there is one."""
        path = self.path(bucket, name)
        try:
            if not path.is_file() or self._is_strange(path):
                return None
            known, stat = attributes.read(path), path.stat()
            if (known.get("mtime"), known.get("size")) != (stat.st_mtime_ns, stat.st_size):
                with self.lock:
                    known = self._adopt(path)
        except (FileNotFoundError, NotADirectoryError):  # deleted meanwhile
            return None
        return Object(bucket, name, path, known)

    def get(self, bucket: str, name: str, generation: str | None = None) -> Object:
        """The object, of that generation if one is given."""
        found = self.find(bucket, name)
        if found is None or generation not in (None, str(found.generation)):
            raise no_object(bucket, name)
        return found

    def path(self, bucket: str, name: str) -> Path:
        """Where the object is, or would be."""
        if (
            name in ("", ".", "..")
            or len(name.encode()) > 1024
            or {"\r", "\n"} & set(name)
            or name.startswith(".well-known/acme-challenge/")
        ):
            raise invalid(f"Invalid object name: {name[:80]!r}")
        parts = name.split("/")
        if parts[-1] == "":
            parts[-1] = FOLDER
        elif parts[-1] == FOLDER:
            raise unimplemented(f"the object name {name!r}")
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise unimplemented(f"the object name {name!r}: its parts must be names of files")
        if any(len(part.encode()) > 255 for part in parts):
            raise unimplemented("object names with more than 255 bytes between two slashes")
        return self.bucket_path(bucket).joinpath(*parts)

    def content(self) -> Content:
        """An empty new content."""
        return Content(self.unfinished / uuid.uuid4().hex)

    def put(
        self,
        bucket: str,
        name: str,
        content: Content,
        known: Mapping[str, Any],
        check: Check,
        *,
        hashes: Mapping[str, str] = MappingProxyType({}),
    ) -> Object:
        """Make `content` the object of that name, unless `check` of the present object raises.

        `hashes` are those that the client gives for the content.
        """
        try:
            content.close()
            path = self.path(bucket, name)
            described = {**describe(content.path), **known}
            _check_folder(name, described["size"])
            for key, value in hashes.items():
                if described[key] != value:
                    raise invalid(f"Provided {key} {value} doesn't match {described[key]}")
            if "componentCount" in described:
                del described["md5Hash"]  # as Google's: a composite object has none
            with self.lock:
                check(self.find(bucket, name))
                described = self._appear(content.path, path, described)
        finally:
            content.path.unlink(missing_ok=True)
        return Object(bucket, name, path, described)

    def move(self, source: Object, name: str, check: Check) -> Object:
        """Give an object another name in its bucket, unless `check` of that name's object raises.

        Nobody sees both names, or none, not after a kill either.
        """
        path = self.path(source.bucket, name)
        _check_folder(name, source.size)
        with self.lock:
            self.get(source.bucket, source.name, str(source.generation))
            check(self.find(source.bucket, name))
            described = self._appear(source.path, path, source.known)
            self._drop_empty_folders(source)
        return Object(source.bucket, name, path, described)

    def _appear(self, file: Path, path: Path, known: Mapping[str, Any]) -> dict[str, Any]:
        """Rename a file to be a new generation of the object at `path`; what is known of that."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            is_folder = path.is_dir()
        except (FileExistsError, NotADirectoryError):
            is_folder = True
        if is_folder:
            name = path.relative_to(self.root).as_posix()
            raise unimplemented(
                f"an object {name!r} beside one whose name goes on, or ends, at a slash"
            )
        described = {**known, "generation": self._next_generation(), "metageneration": 1}
        described["timeCreated"] = described["updated"] = now()
        attributes.write(file, described)
        file.replace(path)
        return described

    def patch(
        self, found: Object, changes: dict[str, Any], check: Check, *, replaces: bool = False
    ) -> Object:
        """Change what a client may set; None deletes, `replaces` deletes what isn't given, too."""
        with self.lock:
            current = self.get(found.bucket, found.name)
            check(current)
            known = dict(current.known)
            if replaces:
                defaults = {key: known[key] for key in _ALWAYS}
                known = {key: value for key, value in known.items() if key not in SETTABLE}
                known |= defaults
            for key, value in changes.items():
                merged = value
                if key == "metadata" and value is not None:
                    merged = {**known.get("metadata", {}), **value}
                    merged = {name: text for name, text in merged.items() if text is not None}
                known[key] = merged
            known = {key: value for key, value in known.items() if value is not None}
            known |= {"metageneration": current.metageneration + 1, "updated": now()}
            attributes.write(current.path, known)
        return Object(found.bucket, found.name, current.path, known)

    def delete(self, bucket: str, name: str, generation: str | None, check: Check) -> None:
        """Delete an object, and the folders that are empty without it."""
        with self.lock:
            found = self.get(bucket, name, generation)
            check(found)
            found.path.unlink()
            self._drop_empty_folders(found)

    def _drop_empty_folders(self, gone: Object) -> None:
        top = self.bucket_path(gone.bucket)
        with contextlib.suppress(OSError):  # not empty
            for folder in gone.path.relative_to(top).parents[:-1]:
                (top / folder).rmdir()

    def _next_generation(self) -> int:
        self._last_generation = max(self._last_generation + 1, time.time_ns() // 1000)
        return self._last_generation

    def _is_strange(self, path: Path) -> bool:
        """Whether a file is not an object, such as one that a program has not finished."""
        try:
            return path.name.startswith(".") and not attributes.read(path)
        except FileNotFoundError:
            return True

    def _adopt(self, path: Path) -> dict[str, Any]:
        before = path.stat()
        stamp = _stamp(dt.datetime.fromtimestamp(before.st_mtime, dt.UTC))
        known = {
            **describe(path),
            "generation": before.st_mtime_ns // 1000,
            "metageneration": 1,
            "timeCreated": stamp,
            "updated": stamp,
        }
        if path.stat().st_mtime_ns == before.st_mtime_ns:  # else it grows: asked again next time
            attributes.write(path, known)
        return known


def _check_folder(name: str, size: int) -> None:
    if name.endswith("/") and size:
        raise unimplemented(f"an object {name!r} with content: as a file it is a folder")


def describe(path: Path) -> dict[str, Any]:
    """What follows from a file's content."""
    md5 = hashlib.md5(usedforsecurity=False)
    crc, size = 0, 0
    with path.open("rb") as file:
        stat = os.fstat(file.fileno())
        while block := file.read(_BLOCK):
            md5.update(block)
            crc = google_crc32c.extend(crc, block)
            size += len(block)
    return {
        "storageClass": "STANDARD",
        "contentType": "application/octet-stream",
        "size": size,
        "crc32c": base64.b64encode(crc.to_bytes(4, "big")).decode(),
        "md5Hash": base64.b64encode(md5.digest()).decode(),
        "mtime": stat.st_mtime_ns,
    }


def now() -> str:
    """As Google writes times."""
    return _stamp(dt.datetime.now(dt.UTC))


def _stamp(at: dt.datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
