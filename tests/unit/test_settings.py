"""Settings of every part: the webhooks' names."""

from __future__ import annotations

import pytest

from pydag_dist.errors import InvalidSettings
from pydag_dist.settings import load_settings

URL = "https://example.org/hooks/T0KEN?key=x"


def test_webhooks_are_named_by_a_variable(monkeypatch):
    monkeypatch.delenv("PYDAG_CONFIG", raising=False)
    assert load_settings().webhooks == {}

    monkeypatch.setenv("PYDAG_WEBHOOKS", f'{{"on-call": "{URL}"}}')
    assert load_settings().webhooks == {"on-call": URL}


def test_webhooks_are_named_by_a_file(monkeypatch, tmp_path):
    config = tmp_path / "pydag.toml"
    config.write_text(f'[webhooks]\non-call = "{URL}"\n', encoding="utf-8")
    monkeypatch.setenv("PYDAG_CONFIG", str(config))

    assert load_settings().webhooks == {"on-call": URL}


@pytest.mark.parametrize(
    "url", ["file:///T0KEN", "https://", "https://me:T0KEN@example.org", "https://h/T0 KEN"]
)
def test_what_is_no_url_of_the_web_is_refused_and_not_shown(monkeypatch, url):
    monkeypatch.delenv("PYDAG_CONFIG", raising=False)
    monkeypatch.setenv("PYDAG_WEBHOOKS", f'{{"on-call": "{url}"}}')
    with pytest.raises(InvalidSettings, match=r"^PYDAG_WEBHOOKS\.ON-CALL: ") as caught:
        load_settings()
    assert "T0" not in str(caught.value)


def test_webhooks_that_are_no_json_are_refused(monkeypatch):
    monkeypatch.delenv("PYDAG_CONFIG", raising=False)
    monkeypatch.setenv("PYDAG_WEBHOOKS", URL)
    with pytest.raises(InvalidSettings, match="PYDAG_WEBHOOKS"):
        load_settings()
