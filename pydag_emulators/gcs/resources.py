"""Objects and buckets as the JSON API shows them, and lists of them.

https://cloud.google.com/storage/docs/json_api/v1/objects
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pydag_emulators.gcs import globs
from pydag_emulators.gcs.errors import invalid, number, unimplemented
from pydag_emulators.gcs.storage.objects import SETTABLE, Object, Objects

_PAGE = 1000
# Clients send back whole resources; Google ignores these fields, too.
_OUTPUT_ONLY = (
    *("name", "bucket", "size", "kind", "id", "etag", "selfLink", "mediaLink", "componentCount"),
    *("crc32c", "md5Hash", "generation", "metageneration"),
    *("timeCreated", "timeStorageClassUpdated", "updated"),
)
_BUCKET = {"location": "US", "storageClass": "STANDARD"}
_CLASSES = (
    *("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"),
    *("MULTI_REGIONAL", "REGIONAL", "DURABLE_REDUCED_AVAILABILITY"),
)
# There is no access control and no soft delete, and rules of lifecycle are kept but not applied.
_OF_BUCKET = (
    *("location", "storageClass", "labels", "iamConfiguration", "lifecycle", "softDeletePolicy"),
)


def tag_of(found: Object) -> str:
    """The etag of an object: it changes whenever its content or metadata do."""
    return base64.b64encode(f"{found.generation}/{found.metageneration}".encode()).decode()


def of_object(found: Object, base: str) -> dict[str, Any]:
    """The resource of an object."""
    known = {key: value for key, value in found.known.items() if key != "mtime"}
    path = f"b/{found.bucket}/o/{quote(found.name, safe='')}"
    return {
        "kind": "storage#object",
        "id": f"{found.bucket}/{found.name}/{found.generation}",
        "name": found.name,
        "bucket": found.bucket,
        "etag": tag_of(found),
        "selfLink": f"{base}/storage/v1/{path}",
        "mediaLink": f"{base}/download/storage/v1/{path}?generation={found.generation}&alt=media",
        "timeStorageClassUpdated": found.known["timeCreated"],
        **known,
        # Numbers of 64 bits are text in Google's JSON.
        **{key: str(known[key]) for key in ("generation", "metageneration", "size")},
    }


def of_bucket(known: Mapping[str, Any], base: str) -> dict[str, Any]:
    """The resource of a bucket."""
    name = known["name"]
    return {
        "kind": "storage#bucket",
        "id": name,
        "selfLink": f"{base}/storage/v1/b/{name}",
        "metageneration": "1",
        "etag": "CAE=",
        "locationType": "multi-region",
        **_BUCKET,
        **known,
    }


def settable(body: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata that a request sets; a 501 for a field that would have no effect."""
    unknown = [key for key in body if key not in (*SETTABLE, *_OUTPUT_ONLY) and body[key]]
    if unknown:
        raise unimplemented(f"{', '.join(sorted(unknown))} of an object")
    _check_class(body)
    return {key: body[key] for key in SETTABLE if key in body}


def settable_of_bucket(body: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of a bucket that a request sets; a 501 for a field that would have no effect."""
    unknown = [key for key in body if key not in ("name", *_OF_BUCKET) and body[key]]
    if unknown:
        raise unimplemented(f"{', '.join(sorted(unknown))} of a bucket")
    _check_class(body)
    return {key: body[key] for key in _OF_BUCKET if body.get(key)}


def _check_class(body: Mapping[str, Any]) -> None:
    if (given := body.get("storageClass")) and given not in _CLASSES:
        raise invalid(f"Invalid storageClass {given!r}: {', '.join(_CLASSES)}")


def listing(objects: Objects, bucket: str, query: Mapping[str, str], base: str) -> dict[str, Any]:
    """A page of objects, by name."""
    # `versions` lists no more: there are no older ones.
    for option in ("softDeleted", "includeFoldersAsPrefixes", "filter"):
        if query.get(option, "false") != "false":
            raise unimplemented(f"listing with {option}")
    delimiter, prefix = query.get("delimiter", ""), query.get("prefix", "")
    names = _matching(objects, bucket, query)
    entries = sorted({_up_to(name, prefix, delimiter) for name in names})
    page, token = page_of(entries, query)
    found = [objects.find(bucket, name) for name, folder in page if not folder]
    answer: dict[str, Any] = {
        "kind": "storage#objects",
        # It may have been deleted meanwhile.
        "items": [of_object(each, base) for each in found if each is not None],
    }
    if prefixes := [name for name, folder in page if folder]:
        answer["prefixes"] = prefixes
    return answer | token


def page_of(
    entries: list[tuple[str, bool]], query: Mapping[str, str]
) -> tuple[list[tuple[str, bool]], dict[str, str]]:
    """The entries of a page of a list by name, and the field that names the next page, if any."""
    after = _after(query.get("pageToken", ""))
    entries = [entry for entry in entries if entry[0] > after]
    limit = max(1, min(number("maxResults", query.get("maxResults") or str(_PAGE)), _PAGE))
    page = entries[:limit]
    if len(entries) <= limit:
        return page, {}
    return page, {"nextPageToken": base64.urlsafe_b64encode(page[-1][0].encode()).decode()}


def _matching(objects: Objects, bucket: str, query: Mapping[str, str]) -> list[str]:
    prefix, glob = query.get("prefix", ""), query.get("matchGlob", "")
    if not glob:
        names = objects.buckets.names(bucket, prefix)
    elif query.get("delimiter", "/") != "/":
        raise invalid("Only the delimiter / goes together with matchGlob")
    else:
        pattern = globs.compiled(glob)
        start = max(prefix, globs.literal_start(glob), key=len)
        names = (
            name
            for name in objects.buckets.names(bucket, start)
            if name.startswith(prefix) and pattern.fullmatch(name)
        )
    first, end = query.get("startOffset", ""), query.get("endOffset", "")
    return [name for name in names if name >= first and (not end or name < end)]


def _up_to(name: str, prefix: str, delimiter: str) -> tuple[str, bool]:
    """The name, or the folder that stands for it in a list; and whether it is a folder."""
    if not delimiter:
        return name, False
    rest = name.removeprefix(prefix)
    folder, found, _ = rest.partition(delimiter)
    return (f"{prefix}{folder}{found}", True) if found else (name, False)


def _after(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise invalid(f"Invalid page token: {token}") from None


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and end of a Range header, None if there is none, `ValueError` if out of range."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None
    if int(first or 0) >= size or (not first and int(last) == 0):
        raise ValueError(header)
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size
