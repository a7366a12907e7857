"""Many calls in one request: https://cloud.google.com/storage/docs/batch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from email.message import Message
from email.parser import BytesParser
from urllib.parse import unquote, urlsplit

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message as Received

from pydag_emulators.gcs.errors import invalid, unimplemented

_MOST_CALLS = 1000  # more than the 100 that Google allows are refused by its client
_BOUNDARY = "batch_of_answers"


Call = Callable[[Request], Awaitable[Response]]


async def answer_batch(request: Request, call: Call) -> Response:
    """The answers of all calls in the request, made one after the other by `call`.

    Raises:
        Refused: `invalid` if it isn't a batch.

    """
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    parsed = BytesParser().parsebytes(head + await request.body())
    parts = parsed.get_payload()
    if not isinstance(parts, list) or len(parts) > _MOST_CALLS:
        raise invalid(f"A batch is multipart/mixed, of at most {_MOST_CALLS} calls")
    answers = [await _answer(request, part, call) for part in parts if isinstance(part, Message)]
    body = b"".join(b"--%b\r\n%b\r\n" % (_BOUNDARY.encode(), answer) for answer in answers)
    body += b"--%b--" % _BOUNDARY.encode()
    return Response(body, media_type=f"multipart/mixed; boundary={_BOUNDARY}")


async def _answer(outer: Request, part: Message, call: Call) -> bytes:
    answer = await call(_request(outer, part))
    if isinstance(answer, StreamingResponse):
        raise unimplemented("downloads in a batch")
    body = bytes(answer.body)
    lines = [
        "Content-Type: application/http",
        f"Content-ID: response-{part.get('Content-ID', '').strip('<>')}",
        "",
        f"HTTP/1.1 {answer.status_code} Answer",
        f"Content-Type: {answer.headers.get('content-type', 'text/plain')}",
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def _request(outer: Request, part: Message) -> Request:
    """One call as a request of its own."""
    payload = part.get_payload(decode=True)
    text = payload if isinstance(payload, bytes) else b""
    line, _, rest = text.lstrip().partition(b"\n")
    words = line.decode().split()
    if len(words) < 2:
        raise invalid("A call in a batch begins with its method and path")
    inner = BytesParser().parsebytes(rest)
    body = inner.get_payload(decode=True)
    url = urlsplit(words[1])
    if url.path.startswith("/batch"):
        raise invalid("A batch can't be in a batch")
    scope = {
        **outer.scope,
        "method": words[0].upper(),
        "path": unquote(url.path),
        "raw_path": url.path.encode(),
        "query_string": url.query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in inner.items()],
    }

    async def receive() -> Received:
        return {"type": "http.request", "body": body or b"", "more_body": False}

    return Request(scope, receive)
