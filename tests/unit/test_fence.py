"""Which requests a service on this machine answers."""

from __future__ import annotations

import asyncio

import pytest

from pydag_dist import fence
from pydag_emulators.fence import Fence, refusal

HOST = ("Host", "127.0.0.1:4443")
# Two packages that do not import each other have a fence each: they agree on names.
both = pytest.mark.parametrize("refusal", [refusal, fence.refusal])


@both
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:4443", "127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:4443", "127.1.2.3:80"],
)
def test_names_of_this_machine_are_answered(refusal, host):
    assert refusal([("Host", host)]) is None


@both
@pytest.mark.parametrize(
    "host",
    [
        "evil.example:4443",
        "localhost.evil.example",
        "evil@127.0.0.1",
        "127.0.0.1.evil.example",
        "127.0.0.1:4443/",
        "127.0.0.1\n",
        "192.168.0.1:4443",
        "0.0.0.0:4443",
        "",
    ],
)
def test_other_names_are_refused(refusal, host):
    assert "127.0.0.1" in refusal([("host", host)])


@both
@pytest.mark.parametrize("headers", [[], [HOST, HOST], [HOST, ("host", "evil.example")]])
def test_a_request_without_one_host_is_refused(refusal, headers):
    assert refusal(headers)


@pytest.mark.parametrize(
    "header",
    [
        ("Origin", "https://evil.example"),
        ("origin", "null"),
        ("ORIGIN", "http://127.0.0.1:4443"),
        ("Origin", ""),
        ("Sec-Fetch-Site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("Sec-Fetch-Site", "same-origin"),
    ],
)
def test_a_web_page_is_refused_by_a_service_without_pages(header):
    assert "web pages" in refusal([HOST, header])


@both
def test_an_address_that_the_user_typed_is_answered(refusal):
    assert refusal([HOST, ("Sec-Fetch-Site", "none")]) is None


def test_a_service_with_pages_answers_its_own_only():
    def refused(*headers, **options):
        return fence.refusal([HOST, *headers], **options)

    assert refused(("Origin", "http://127.0.0.1:4443"), ("Sec-Fetch-Site", "same-origin")) is None
    assert refused(("Origin", "http://localhost:4443"))
    assert refused(("Origin", "http://127.0.0.1:4444"))
    assert refused(("Origin", "http://127.0.0.1:4443"), ("Origin", "http://evil.example"))
    assert refused(("Sec-Fetch-Site", "same-site"))


def test_where_others_may_come_by_any_name_pages_are_still_refused():
    headers = [("Host", "flower.example")]
    assert fence.refusal(headers) is not None
    assert fence.refusal(headers, any_host=True) is None
    own = [*headers, ("Origin", "https://flower.example")]
    assert fence.refusal(own, any_host=True) is None
    assert fence.refusal([*headers, ("Origin", "https://evil.example")], any_host=True)


def test_the_layer_answers_before_it_reads_a_body():
    async def app(scope, receive, send):
        raise AssertionError("it was handed on")

    async def receive():
        raise AssertionError("the body was read")

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "headers": [(b"host", b"127.0.0.1"), (b"origin", b"http://\xe9")]}
    asyncio.run(Fence(app)(scope, receive, send))
    assert [message.get("status") for message in sent] == [403, None]
