"""The interface's files; every address that is no file's is one of its pages."""

from __future__ import annotations

import gzip
from functools import cached_property, lru_cache
from hashlib import sha256
from html import escape
from mimetypes import guess_type
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from pydag_dist.web.problems import Refusal

STATIC: Final = Path(__file__).parent.with_name("static")
_MISSING: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>pydag</title>
<h1>The pages are not there</h1>
<p>This is <code>pydag web</code>, and its REST interface works: <a href="{prefix}/api/v1/me">for
example</a>. Its pages are built from the folder <code>ui/</code> when the package is installed, and
that was not possible then: most often because npm's registry could not be reached.</p>
<p>To have them, install again where npm's registry can be reached, and start <code>pydag web</code>
again:</p>
<pre>pip install --force-reinstall --no-deps .</pre>
<p>Until then <code>pydag runs</code>, <code>pydag status RUN</code> and <code>pydag why RUN</code>
show the same in a terminal.</p>
"""


@lru_cache(maxsize=8)
def _compressed(file: Path) -> bytes:
    return gzip.compress(file.read_bytes())


class Pages:
    """Serves the folder that the interface was built into, below a prefix."""

    def __init__(self, prefix: str, folder: Path = STATIC) -> None:
        self._prefix, self._folder = prefix, folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for a file, or for a page."""
        await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        path: str = scope["path"]
        if path.startswith("/api/"):
            return Refusal(404, f"there is no {path}: docs/api.md lists what there is").response()
        if scope["method"] not in {"GET", "HEAD"}:
            return Refusal(
                405, f"{scope['method']} is for the API only", headers={"Allow": "GET, HEAD"}
            ).response()
        if path.startswith("/static/"):
            return self._file(path.removeprefix("/static/"), Headers(scope=scope))
        etag = f'"{sha256(self._page).hexdigest()[:32]}"'
        kept = {"ETag": etag, "Cache-Control": "no-cache"}
        if Headers(scope=scope).get("if-none-match") == etag:
            return Response(None, 304, kept)
        return HTMLResponse(self._page, headers=kept)

    def _file(self, name: str, headers: Headers) -> Response:
        # Names of one folder only: nothing outside it can be named.
        file = self._folder / name
        if "/" in name or "\\" in name or name.startswith(".") or not file.is_file():
            return Refusal(404, f"there is no file /static/{name}").response()
        # Its name holds the hash of what is in it.
        kept = {"Cache-Control": "max-age=31536000, immutable", "Vary": "Accept-Encoding"}
        if "gzip" not in headers.get("accept-encoding", ""):
            return FileResponse(file, headers=kept)
        packed = kept | {"Content-Encoding": "gzip"}
        return Response(_compressed(file), 200, packed, guess_type(name)[0])

    @cached_property
    def _page(self) -> bytes:
        index = self._folder / "index.html"
        if not index.is_file():
            return _MISSING.format(prefix=escape(self._prefix)).encode()
        base = f'<base href="{escape(self._prefix)}/">'
        return index.read_text("utf-8").replace('<base href="/">', base).encode()
