"""Objects as files `<root>/<bucket>/<object>`, whose metadata are extended attributes.

Files that other programs wrote, such as Spark or the local BigQuery, are objects, too. They get
their attribute when somebody first asks for them, and a new one when they have been written again.
All changes are atomic renames under one lock, so that preconditions hold.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydag_emulators.buckets import FOLDER
from pydag_emulators.errors import CannotStart
from pydag_emulators.gcs.errors import invalid, no_object, unimplemented
from pydag_emulators.gcs.storage import attributes
from pydag_emulators.gcs.storage.buckets import Buckets, is_object
from pydag_emulators.gcs.storage.content import Content, describe, now, time_text

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


class Objects:
    """All buckets below `root`, which no other process may serve at the same time."""

    def __init__(self, root: Path) -> None:
        attributes.check(root)
        self.buckets = Buckets(root)
        self.unfinished = root / _UNFINISHED
        self.unfinished.mkdir(exist_ok=True)
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

    def find(self, bucket: str, name: str) -> Object | None:
        """The object of that name, if there is one."""
        path = self.path(bucket, name)
        try:
            if not (path.is_file() and is_object(path)):
                return None
            known, stat = attributes.read(path), path.stat()
            if (known.get("mtime"), known.get("size")) != (stat.st_mtime_ns, stat.st_size):
                with self.buckets.lock:
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
        return self.buckets.path(bucket).joinpath(*parts)

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
            with self.buckets.lock:
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
        with self.buckets.lock:
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
            name = path.relative_to(self.buckets.root).as_posix()
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
        with self.buckets.lock:
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
        with self.buckets.lock:
            found = self.get(bucket, name, generation)
            check(found)
            found.path.unlink()
            self._drop_empty_folders(found)

    def _drop_empty_folders(self, gone: Object) -> None:
        top = self.buckets.path(gone.bucket)
        with contextlib.suppress(OSError):  # not empty
            for folder in gone.path.relative_to(top).parents[:-1]:
                (top / folder).rmdir()

    def _next_generation(self) -> int:
        self._last_generation = max(self._last_generation + 1, time.time_ns() // 1000)
        return self._last_generation

    def _adopt(self, path: Path) -> dict[str, Any]:
        before = path.stat()
        stamp = time_text(dt.datetime.fromtimestamp(before.st_mtime, dt.UTC))
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
