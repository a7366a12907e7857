"""Buckets as directories `<root>/<bucket>`, whose settings are extended attributes."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydag_emulators.buckets import FOLDER, buckets
from pydag_emulators.gcs.errors import Refused, invalid, no_bucket
from pydag_emulators.gcs.storage import attributes
from pydag_emulators.gcs.storage.content import now

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
CheckOfBucket = Callable[[int], None]
"""Raises unless a bucket may have this metageneration."""


class Buckets:
    """All buckets below `root`. Whoever changes one, or an object in it, holds `lock`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.RLock()

    def make(self, name: str, known: dict[str, Any]) -> dict[str, Any]:
        """Create a bucket."""
        if not _NAME.fullmatch(name):
            raise invalid(f"Invalid bucket name: '{name}'")
        try:
            (self.root / name).mkdir()
        except FileExistsError:
            message = "Your previous request to create the named bucket succeeded and you own it."
            raise Refused(409, "conflict", message) from None
        attributes.write(self.root / name, {"timeCreated": now(), **known})
        return self.get(name)

    def change(self, name: str, changes: Mapping[str, Any], check: CheckOfBucket) -> dict[str, Any]:
        """Set fields, and labels one by one: one that is None is deleted."""
        with self.lock:
            known = attributes.read(self.path(name))
            now_is = int(known.get("metageneration", 1))
            check(now_is)
            labels = {**(known.get("labels") or {}), **(changes.get("labels") or {})}
            labels = {key: value for key, value in labels.items() if value is not None}
            known |= {**changes, "labels": labels, "metageneration": str(now_is + 1)}
            attributes.write(self.path(name), known | {"updated": now()})
        return self.get(name)

    def get(self, name: str) -> dict[str, Any]:
        """What is known of a bucket."""
        return {"name": name, **attributes.read(self.path(name))}

    def path(self, name: str) -> Path:
        """Its directory."""
        path = self.root / name
        if not _NAME.fullmatch(name) or not path.is_dir():
            raise no_bucket(name)
        return path

    def all(self) -> list[str]:
        """All names."""
        return sorted(path.name for path in buckets(self.root))

    def drop(self, name: str, check: CheckOfBucket) -> None:
        """Delete an empty bucket."""
        with self.lock:
            check(int(self.get(name).get("metageneration", 1)))
            if next(self.names(name), None) is not None:
                raise Refused(409, "conflict", "The bucket you tried to delete is not empty.")
            for folder, _, _ in os.walk(self.path(name), topdown=False):
                Path(folder).rmdir()

    def names(self, name: str, prefix: str = "") -> Iterator[str]:
        """Names of objects that begin with `prefix`, in no order."""
        root = self.path(name)
        folder, _, _ = prefix.rpartition("/")
        for parent, _, files in os.walk(root / folder if folder else root):
            below = os.path.relpath(parent, root)
            start = "" if below == "." else f"{below}/"
            for file in files:
                found = start if file == FOLDER else f"{start}{file}"
                if found.startswith(prefix) and is_object(Path(parent, file)):
                    yield found


def is_object(path: Path) -> bool:
    """Whether a file is an object, and not one that some program has not finished."""
    try:
        return not path.name.startswith(".") or bool(attributes.read(path))
    except FileNotFoundError:
        return False
