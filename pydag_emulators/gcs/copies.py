"""The calls that copy and compose: rewriteTo with its tokens, copyTo, and compose."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from pydag_emulators.gcs.conditions import check_of
from pydag_emulators.gcs.errors import invalid, number
from pydag_emulators.gcs.resources import settable
from pydag_emulators.gcs.storage.content import Content
from pydag_emulators.gcs.storage.objects import SETTABLE, Object, Objects

MOST_SOURCES = 32
_MOST_BYTES = "maxBytesRewrittenPerCall"
_STEP = 1 << 20  # it is a multiple of this
_A_CALL = 64 << 20  # bytes that one call copies unless the client says otherwise


class Rewrite:
    """One call of a rewrite; `names` are the source's bucket and name, then the target's."""

    def __init__(
        self,
        objects: Objects,
        names: Sequence[str],
        query: Mapping[str, str],
        body: Mapping[str, Any],
    ) -> None:
        self._most = number(_MOST_BYTES, query.get(_MOST_BYTES) or str(_A_CALL))
        if self._most <= 0 or self._most % _STEP:
            raise invalid(f"{_MOST_BYTES} must be a multiple of 1 MiB")
        self._objects = objects
        self._target = (names[2], names[3])
        self._source = source_of(objects, names, query)
        self._known = _known(self._source, body)
        self._check = check_of(query)
        self._check(objects.find(*self._target))
        # A token is valid for a call with the same arguments only.
        self._purpose = json.dumps([*names, self._source.generation])
        self._token = query.get("rewriteToken", "")
        self._copied = 0

    def go_on(self) -> Object | None:
        """Copy the next part; the new object if that was the last one."""
        content = self._part()
        self._copied = content.path.stat().st_size
        content.copy(self._source.path, self._copied, self._most)
        self._copied = content.close()
        if self._copied < self._source.size:
            return None
        self._about.unlink(missing_ok=True)
        return self._objects.put(*self._target, content, self._known, self._check)

    def answer(self, resource: dict[str, Any] | None) -> dict[str, Any]:
        """The JSON of the answer; `resource` is the new object's."""
        return {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": str(self._copied),
            "objectSize": str(self._source.size),
            "done": resource is not None,
            **({"resource": resource} if resource else {"rewriteToken": self._token}),
        }

    def _part(self) -> Content:
        """What earlier calls copied."""
        if not self._token:
            self._token = uuid.uuid4().hex
            self._about = self._objects.unfinished / f"rewrite-{self._token}.json"
            self._about.write_text(self._purpose)
        else:
            if not re.fullmatch(r"[0-9a-f]{32}", self._token):
                raise invalid("Invalid rewrite token")
            self._about = self._objects.unfinished / f"rewrite-{self._token}.json"
            if not self._about.exists() or self._about.read_text() != self._purpose:
                raise invalid("Invalid rewrite token: it is of another rewrite")
        return Content(self._about.with_suffix(""), append=True)


def copy(
    objects: Objects, names: Sequence[str], query: Mapping[str, str], body: Mapping[str, Any]
) -> Object:
    """Copy a whole object in one call; `names` as for `Rewrite`."""
    source = source_of(objects, names, query)
    content = objects.content()
    content.copy(source.path, 0, source.size)
    return objects.put(names[2], names[3], content, _known(source, body), check_of(query))


def compose(
    objects: Objects, bucket: str, name: str, query: Mapping[str, str], body: Mapping[str, Any]
) -> Object:
    """Concatenate up to 32 objects of a bucket into an object of the same bucket."""
    given = body.get("sourceObjects") or []
    if not 1 <= len(given) <= MOST_SOURCES:
        raise invalid(
            f"The number of source components provided ({len(given)}) must be from 1 to "
            f"{MOST_SOURCES}"
        )
    sources = []
    for source in given:
        generation = source.get("generation")
        part = str(source.get("name") or "")
        found = objects.get(bucket, part, str(generation) if generation else None)
        conditions = source.get("objectPreconditions") or {}
        check_of({key: str(value) for key, value in conditions.items()})(found)
        sources.append(found)
    content = objects.content()
    for found in sources:
        content.copy(found.path, 0, found.size)
    known = settable(body.get("destination") or {})
    known["componentCount"] = sum(int(found.known.get("componentCount", 1)) for found in sources)
    return objects.put(bucket, name, content, known, check_of(query))


def source_of(objects: Objects, names: Sequence[str], query: Mapping[str, str]) -> Object:
    """The object that is copied or moved, if the request's conditions on it hold."""
    found = objects.get(names[0], names[1], query.get("sourceGeneration"))
    check_of(query, start="ifSource")(found)
    return found


def _known(source: Object, body: Mapping[str, Any]) -> dict[str, Any]:
    """A copy's metadata: what the request says, else the source's."""
    return settable(body) or {key: source.known[key] for key in SETTABLE if key in source.known}
