"""The ASGI application: it chooses the function that answers a request.

https://cloud.google.com/storage/docs/json_api/v1
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pydag_emulators.faults import Faults
from pydag_emulators.fence import Fence
from pydag_emulators.gcs import calls, resources
from pydag_emulators.gcs.batch import answer_batch
from pydag_emulators.gcs.conditions import check_of, check_tag
from pydag_emulators.gcs.errors import Fault, Refused, fault_of, invalid, unimplemented
from pydag_emulators.gcs.storage.objects import Object, Objects
from pydag_emulators.gcs.uploads import Session, Wanted, json_object, two_parts

_BLOCK = 1 << 20
_RESUME_INCOMPLETE = 308
_CANCELLED = 499
_HASHES = {"crc32c": "crc32c", "md5": "md5Hash"}


def create_app(root: Path) -> ASGIApp:
    """The service over the buckets in `root`."""
    service = _Service(Objects(root))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        answer = await service.answer(request)
        await answer(scope, receive, send)

    return Fence(app)


class _Service:
    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._faults = Faults[Fault]()

    async def answer(self, request: Request) -> Response:
        # An object's name may have slashes, which are quoted in the path.
        raw = request.scope["raw_path"].partition(b"?")[0].decode()
        path = [unquote(part) for part in raw.strip("/").split("/")]
        try:
            if path[0] == "-":
                return await self._of_emulator(request, path[1:])
            if (fault := self._faults.take(request.method, raw)) is not None:
                await asyncio.sleep(fault.delay)
                if fault.after:
                    await self._of_api(request, path)
                raise fault.error()
            if path[0] == "batch":
                return await answer_batch(request, self.answer)
            return await self._of_api(request, path)
        except Refused as refused:
            if refused.status == 304:
                return Response(status_code=304)
            return JSONResponse(refused.body(), refused.status)

    async def _of_emulator(self, request: Request, path: list[str]) -> Response:
        if path == ["health"]:
            return JSONResponse({"status": "ok"})
        if path != ["faults"]:
            raise unimplemented(request.url.path)
        if request.method == "POST":
            self._faults.add(fault_of(json_object(await request.body())))
        elif request.method == "DELETE":
            self._faults.clear()
        return JSONResponse({"faults": self._faults.left()})

    async def _of_api(self, request: Request, path: list[str]) -> Response:
        method = request.method
        body = b"" if method == "GET" else await request.body()
        query = dict(request.query_params)
        base = calls.base_of(request)
        for known in ("userProject", "encryption", "kmsKeyName", "destinationKmsKeyName"):
            if query.get(known):
                raise unimplemented(f"the parameter {known}")
        if any(name.startswith("x-goog-encryption") for name in request.headers):
            raise unimplemented("customer-supplied encryption keys")
        match path:
            case ["upload", "storage", "v1", "b", bucket, "o"]:
                return await asyncio.to_thread(self._upload, request, bucket, query, body, base)
            case ["download", "storage", "v1", "b", bucket, "o", name] if method == "GET":
                return await asyncio.to_thread(self._download, request, bucket, name, query)
            case ["storage", "v1", "b", bucket, "o", name] if (method, query.get("alt")) == (
                "GET",
                "media",
            ):
                return await asyncio.to_thread(self._download, request, bucket, name, query)
            case ["storage", "v1", "b", *rest]:
                result = await asyncio.to_thread(
                    calls.answer, self._objects, request, rest, json_object(body)
                )
                return Response(status_code=204) if result is None else JSONResponse(result)
        raise unimplemented(f"{method} {request.url.path}")

    def _upload(
        self, request: Request, bucket: str, query: dict[str, str], body: bytes, base: str
    ) -> Response:
        self._objects.buckets.path(bucket)
        kind = query.get("uploadType")
        if request.method == "DELETE":
            Session(self._objects, query.get("upload_id", "")).cancel()
            return Response(status_code=_CANCELLED)
        if request.method not in ("POST", "PUT"):
            raise unimplemented(f"{request.method} of an upload")
        if request.method == "PUT" or query.get("upload_id"):
            return self._resume(request, query, body, base)
        if kind == "resumable":
            content_type = request.headers.get("x-upload-content-type", "")
            wanted = Wanted.of(bucket, query, json_object(body), content_type)
            location = request.url.include_query_params(
                upload_id=Session.begin(self._objects, wanted)
            )
            return Response(headers={"Location": str(location)})
        content_type = request.headers.get("content-type", "")
        if kind == "multipart":
            about, media, data = two_parts(body, content_type)
            wanted = Wanted.of(bucket, query, about, media)
        elif kind == "media":
            wanted, data = Wanted.of(bucket, query, {}, content_type), body
        else:
            raise invalid(f"Unknown uploadType {kind}: media, multipart or resumable")
        content = self._objects.content()
        content.write(data)
        return JSONResponse(resources.of_object(wanted.put(self._objects, content), base))

    def _resume(self, request: Request, query: dict[str, str], body: bytes, base: str) -> Response:
        session = Session(self._objects, query.get("upload_id", ""))
        made = session.add(request.headers.get("content-range", ""), body)
        if isinstance(made, Object):
            return JSONResponse(resources.of_object(made, base))
        headers = {"Range": f"bytes=0-{made - 1}"} if made else {}
        return Response(status_code=_RESUME_INCOMPLETE, headers=headers)

    def _download(
        self, request: Request, bucket: str, name: str, query: Mapping[str, str]
    ) -> Response:
        found = self._objects.get(bucket, name, query.get("generation"))
        check_of(query, read=True)(found)
        check_tag(request.headers, resources.tag_of(found))
        known = found.known
        hashes = [f"{key}={known[name]}" for key, name in _HASHES.items() if name in known]
        headers = {
            "X-Goog-Generation": str(found.generation),
            "X-Goog-Metageneration": str(found.metageneration),
            "X-Goog-Hash": ",".join(hashes),
            "X-Goog-Stored-Content-Length": str(found.size),
            "Accept-Ranges": "bytes",
        }
        if encoding := known.get("contentEncoding"):
            if _is_unpacked(request, known):
                headers["X-Goog-Stored-Content-Encoding"] = encoding
                return StreamingResponse(_unpacked(found.path), 200, headers, known["contentType"])
            headers["Content-Encoding"] = encoding
        try:
            part = resources.byte_range(request.headers.get("range"), found.size)
        except ValueError:
            headers["Content-Range"] = f"bytes */{found.size}"
            return Response("Requested range not satisfiable", 416, headers)
        start, end = part or (0, found.size)
        headers["Content-Length"] = str(end - start)
        if part:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size}"
        return StreamingResponse(
            _bytes(found.path, start, end), 206 if part else 200, headers, known["contentType"]
        )


def _is_unpacked(request: Request, known: Mapping[str, Any]) -> bool:
    """Whether content that is stored with gzip goes to a client that doesn't take it so.

    https://cloud.google.com/storage/docs/transcoding
    """
    return (
        known["contentEncoding"] == "gzip"
        and "gzip" not in request.headers.get("accept-encoding", "")
        and "no-transform" not in (known.get("cacheControl") or "")
    )


async def _unpacked(path: Path) -> AsyncIterator[bytes]:
    with gzip.open(path) as file:
        while block := await asyncio.to_thread(file.read, _BLOCK):
            yield block


async def _bytes(path: Path, start: int, end: int) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < end:
            block = await asyncio.to_thread(file.read, min(_BLOCK, end - start))
            if not block:
                return
            start += len(block)
            yield block
