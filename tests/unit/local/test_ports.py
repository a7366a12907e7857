"""Where local services listen, and how they are reached."""

from __future__ import annotations

import pytest

from pydag_dist.local.ports import past_proxies


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, None),
        ({"NO_PROXY": "example.com"}, None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "127.0.0.1,localhost"),
        (
            {"https_proxy": "proxy:3128", "no_proxy": " a.com, localhost "},
            "a.com,localhost,127.0.0.1",
        ),
        ({"ALL_PROXY": "socks5://proxy", "NO_PROXY": "*"}, None),
    ],
)
def test_no_proxy_is_asked_for_local_services(monkeypatch, given, names):
    for name in ("http", "https", "all", "no", "grpc", "ftp"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert past_proxies() == ({"NO_PROXY": names, "no_proxy": names} if names else {})
