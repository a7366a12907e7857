"""What clients send: JSON, and two parts in one body."""

from __future__ import annotations

import json
import re
from email.message import Message
from typing import Any


class BadBody(ValueError):
    """A body that can't be read; the message says why."""


def json_object(text: bytes) -> dict[str, Any]:
    """The JSON object that a body is; an empty one of an empty body.

    Raises:
        BadBody: it is no JSON object, is nested too deeply, or has half of a pair of UTF-16.

    """
    try:
        body = json.loads(text) if text.strip() else {}
        if b"\\ud" in text.lower():
            json.dumps(body, ensure_ascii=False).encode()
    except ValueError as error:
        raise BadBody(str(error)) from None
    except RecursionError:
        raise BadBody("nested too deeply") from None
    if not isinstance(body, dict):
        raise BadBody("not a JSON object")
    return body


def two_parts(body: bytes, content_type: str) -> tuple[bytes, str, bytes]:
    """The JSON, the content type of the content, and the content of a multipart upload.

    Raises:
        BadBody: it has no boundary, or not two parts.

    """
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str):
        raise BadBody("A multipart upload needs a boundary in its Content-Type")
    mark = b"--" + boundary.encode()
    # Some clients end lines with a line feed only.
    line = b"\r\n" if body.lstrip().startswith(mark + b"\r\n") else b"\n"
    # The content may contain the boundary: only the first two and the last one are boundaries.
    head, _, rest = body.partition(mark + line)
    first, _, second = rest.partition(line + mark + line)
    second, end, _ = second.rpartition(line + mark + b"--")
    if head.strip() or not end:
        raise BadBody("A multipart upload has two parts: what it makes, as JSON, and the content")
    # A part without header fields begins with the empty line.
    (_, _, about), (fields, _, content) = (
        (line + part).partition(line + line) for part in (first, second)
    )
    media = re.search(rb"(?im)^content-type:\s*([^\r\n]+)", fields)
    kind = media[1].decode().strip() if media else ""
    return about, kind, content
