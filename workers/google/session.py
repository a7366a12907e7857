"""The HTTP session of a client of Google's, without what `requests` does anew for each request.

Google's libraries have made URL, headers and body ready, and need no cookies.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import requests
from requests.cookies import RequestsCookieJar
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict


def lighten(session: requests.Session) -> None:
    """Let a session ask the environment once a host, and send what is ready as it is."""
    _look_once(session)
    _prepare_little(session)


def _look_once(session: requests.Session) -> None:
    """For proxies and trusted certificates, that is a tenth of a job's CPU time.

    Without this `requests` reads ~/.netrc, too, whose password would take the place of the token.
    """
    merge = session.merge_environment_settings
    session.trust_env = False

    @functools.cache
    def of_host(origin: str) -> Mapping[str, Any]:
        return requests.Session().merge_environment_settings(origin, {}, None, None, None)

    def merged(url: str, proxies: Any, stream: Any, verify: Any, cert: Any) -> Mapping[str, Any]:
        found = of_host("/".join(url.split("/", 3)[:3]))
        verify = found["verify"] if verify is None else verify
        return merge(url, {**found["proxies"], **(proxies or {})}, stream, verify, cert)

    session.merge_environment_settings = merged  # type: ignore[method-assign,assignment]


def _prepare_little(session: requests.Session) -> None:
    """That is an eighth of a request's CPU time."""
    prepare = session.prepare_request

    def prepared(request: requests.Request) -> requests.PreparedRequest:
        data = request.data or None
        body: Any = data.encode() if isinstance(data, str) else data
        more = (request.params, request.json, request.files, request.auth, request.cookies)
        is_ready = str(request.url).isascii() and (body is None or isinstance(body, bytes))
        if any(more) or not is_ready:
            return prepare(request)
        made = requests.PreparedRequest()
        made.method, made.url, made.body = request.method, str(request.url), body
        made.headers = CaseInsensitiveDict({**session.headers, **request.headers})
        made.prepare_content_length(body)
        made.hooks = default_hooks()
        made._cookies = RequestsCookieJar()  # noqa: SLF001  where those of the answer are put
        return made

    session.prepare_request = prepared  # type: ignore[method-assign]
