"""Uploads in one request or in many: https://cloud.google.com/storage/docs/uploads-downloads."""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydag_emulators import bodies
from pydag_emulators.gcs.conditions import check_of
from pydag_emulators.gcs.errors import Refused, invalid
from pydag_emulators.gcs.resources import settable
from pydag_emulators.gcs.storage.content import Content
from pydag_emulators.gcs.storage.objects import Object, Objects

_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass(frozen=True)
class Wanted:
    """The object that an upload is to make."""

    bucket: str
    name: str
    known: dict[str, Any]
    hashes: dict[str, str]  # what the client says of the content
    query: dict[str, str]  # with its preconditions

    @classmethod
    def of(
        cls, bucket: str, query: Mapping[str, str], body: Mapping[str, Any], content_type: str
    ) -> Wanted:
        """As a request says it."""
        known = settable(body)
        if content_type:
            known.setdefault("contentType", content_type)
        name = query.get("name") or body.get("name")
        if not name:
            raise invalid("Required: name")
        hashes = {key: body[key] for key in ("crc32c", "md5Hash") if body.get(key)}
        return cls(bucket, str(name), known, hashes, dict(query))

    def put(self, objects: Objects, content: Content) -> Object:
        """Make it of `content`."""
        check = check_of(self.query)
        return objects.put(self.bucket, self.name, content, self.known, check, hashes=self.hashes)


def two_parts(body: bytes, content_type: str) -> tuple[dict[str, Any], str, bytes]:
    """Metadata, content type and content of a multipart upload."""
    try:
        about, media, content = bodies.two_parts(body, content_type)
    except bodies.BadBody as error:
        raise invalid(str(error)) from None
    return json_object(about), media, content


def json_object(text: bytes) -> dict[str, Any]:
    """The JSON object of a body; an empty one of no body."""
    try:
        return bodies.json_object(text)
    except bodies.BadBody as error:
        raise invalid(f"Parse Error: {error}") from None


class Session:
    """A resumable upload: its bytes so far and its request, as files that survive a kill."""

    def __init__(self, objects: Objects, upload_id: str) -> None:
        self._objects = objects
        if not re.fullmatch(r"[0-9a-f]{32}", upload_id):
            raise Refused(404, "notFound", "No such upload")
        self._bytes = objects.unfinished / f"upload-{upload_id}"
        self._about = objects.unfinished / f"upload-{upload_id}.json"

    @classmethod
    def begin(cls, objects: Objects, wanted: Wanted) -> str:
        """A new one; its id."""
        objects.path(wanted.bucket, wanted.name)
        check_of(wanted.query)(objects.find(wanted.bucket, wanted.name))
        upload_id = uuid.uuid4().hex
        session = cls(objects, upload_id)
        session._bytes.touch()
        _write(session._about, vars(wanted))
        return upload_id

    def add(self, content_range: str, data: bytes) -> Object | int:
        """Add bytes, or none; returns the object if it is complete, else the number of bytes."""
        about = self._read()
        if "made" in about:  # the client did not get the answer
            return self._objects.get(about["bucket"], about["name"])
        match = _RANGE.fullmatch(content_range)
        start, _, total = match.groups() if match else ("0", None, "*")
        content = Content(self._bytes, append=True)
        size = self._bytes.stat().st_size
        if start is not None:
            if int(start) > size:
                content.close()
                raise invalid(f"The upload has {size} bytes; {content_range} leaves a gap")
            content.write(data[size - int(start) :])
        size = content.close()
        if match is not None and total != str(size):
            return size
        made = Wanted(**about).put(self._objects, content)
        _write(self._about, {"made": made.generation, **about})
        return made

    def cancel(self) -> None:
        """Give the upload up; nothing of it stays."""
        self._read()
        self._about.unlink()
        self._bytes.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        with contextlib.suppress(FileNotFoundError):
            about: dict[str, Any] = json.loads(self._about.read_text())
            return about
        raise Refused(404, "notFound", "No such upload")


def _write(path: Path, value: dict[str, Any]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value))
    new.replace(path)
