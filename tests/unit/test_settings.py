"""Settings of every part: what is wrong is told in a sentence."""

from __future__ import annotations

import json
import re

import pytest

from pydag_dist import checked_settings, settings
from pydag_dist.dag.text.patterns import WORDS
from pydag_dist.errors import InvalidSettings
from pydag_dist.receivers import MailServer, Webhook
from pydag_dist.settings import WORKER_SETTINGS, load_settings, unknown_variables
from pydag_dist.web.settings import WebSettings
from workers.settings import WorkerSettings

URL = "https://example.org/hooks/T0KEN?key=x"


def test_webhooks_are_named_by_a_variable(monkeypatch):
    monkeypatch.delenv("PYDAG_CONFIG", raising=False)
    assert load_settings().webhooks == {}

    monkeypatch.setenv("PYDAG_WEBHOOKS", f'{{"on-call": "{URL}"}}')
    assert load_settings().webhooks == {"on-call": Webhook(URL)}


def test_webhooks_are_named_by_a_file(monkeypatch, tmp_path):
    config = tmp_path / "pydag.toml"
    config.write_text(f'[webhooks]\non-call = "{URL}"\n', encoding="utf-8")
    monkeypatch.setenv("PYDAG_CONFIG", str(config))

    assert load_settings().webhooks == {"on-call": Webhook(URL)}


@pytest.mark.parametrize(
    "url", ["file:///T0KEN", "https://", "https://me:T0KEN@example.org", "https://h/T0 KEN"]
)
def test_what_is_no_url_of_the_web_is_refused_and_not_shown(monkeypatch, url):
    monkeypatch.delenv("PYDAG_CONFIG", raising=False)
    monkeypatch.setenv("PYDAG_WEBHOOKS", f'{{"on-call": "{url}"}}')
    with pytest.raises(InvalidSettings, match=r"^PYDAG_WEBHOOKS\.ON-CALL\.URL: ") as caught:
        load_settings()
    assert "T0" not in str(caught.value)


def test_webhooks_that_are_no_json_are_refused(monkeypatch):
    monkeypatch.delenv("PYDAG_CONFIG", raising=False)
    monkeypatch.setenv("PYDAG_WEBHOOKS", URL)
    with pytest.raises(InvalidSettings, match="PYDAG_WEBHOOKS"):
        load_settings()


def test_every_wrong_setting_of_a_file_is_told_at_once(monkeypatch, tmp_path):
    config = tmp_path / "pydag.toml"
    config.write_text('redis_ulr = "redis://:S3CRET@h"\nretention = "long"\nwebhooks = 1\n')
    monkeypatch.setenv("PYDAG_CONFIG", str(config))
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    told = str(caught.value)
    assert f"redis_ulr in {config}: there is no such setting; redis_url is meant, maybe" in told
    assert f"retention in {config}: must be an integer" in told
    assert f"webhooks in {config}: must be an object" in told
    assert "S3CRET" not in told


def test_a_variable_is_blamed_for_what_it_says(monkeypatch, tmp_path):
    config = tmp_path / "pydag.toml"
    config.write_text('redis_url = "redis://h"\n')
    monkeypatch.setenv("PYDAG_CONFIG", str(config))
    monkeypatch.setenv("PYDAG_REDIS_URL", "127.0.0.1:6379")
    with pytest.raises(InvalidSettings, match=r"^PYDAG_REDIS_URL: does not begin with redis://"):
        load_settings()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can't be read (No such file or directory)"),
        ("directory", "can't be read (Is a directory)"),
        (b"redis_url = \n", "isn't TOML"),
        (b"\xff\xfe", "isn't TOML"),
    ],
)
def test_a_file_that_is_none_is_told(monkeypatch, tmp_path, content, said):
    config = tmp_path / "pydag.toml"
    if content == "directory":
        config.mkdir()
    elif content is not None:
        config.write_bytes(content)
    monkeypatch.setenv("PYDAG_CONFIG", str(config))
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    assert str(caught.value).startswith(f"PYDAG_CONFIG names {config}, which ")
    assert said in str(caught.value)


def test_a_home_of_nobody_is_told(monkeypatch):
    monkeypatch.delenv("PYDAG_CONFIG", raising=False)
    monkeypatch.setenv("PYDAG_HOME", "~no-such-user/pydag")
    with pytest.raises(InvalidSettings, match="PYDAG_HOME is ~no-such-user/pydag"):
        load_settings()


def test_secrets_are_not_shown(monkeypatch):
    monkeypatch.setenv("PYDAG_REDIS_URL", "redis://:S3CRET@h")
    monkeypatch.setenv("PYDAG_DATABASE_URL", "postgresql://u:S3CRET@h/d")
    monkeypatch.setenv("PYDAG_WEBHOOKS", '{"a": "https://h/S3CRET"}')
    assert "S3CRET" not in repr(load_settings())


def test_a_variable_that_nobody_reads_is_told(monkeypatch):
    assert unknown_variables() == []
    monkeypatch.setenv("PYDAG_WORKER_IMPORT", "etl")
    monkeypatch.setenv("PYDAG_REDISURL", "redis://h")
    monkeypatch.setenv("PYDAG_WORKER_IMPORTS", "etl")
    assert unknown_variables() == [
        "nobody reads PYDAG_REDISURL: is PYDAG_REDIS_URL meant?",
        "nobody reads PYDAG_WORKER_IMPORT: is PYDAG_WORKER_IMPORTS meant?",
    ]


def test_every_setting_of_a_worker_is_known():
    from workers.settings import WorkerSettings

    assert {*WORKER_SETTINGS} == {*WorkerSettings.model_fields, "queues", "further_imports"}


@pytest.mark.parametrize("lease", ["2.9", "601", "soon"])
def test_a_lease_that_nobody_could_keep_is_refused(monkeypatch, lease):
    monkeypatch.delenv("PYDAG_CONFIG", raising=False)
    monkeypatch.setenv("PYDAG_LEASE", lease)
    with pytest.raises(InvalidSettings, match=r"^PYDAG_LEASE: must be "):
        load_settings()


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"PYDAG_REDIS_URL": "rediss://u:p@h:1/2?ssl_cert_reqs=none", "pydag_home": "/h"},
        {"PYDAG_KEY_PREFIX": "a.b", "PYDAG_DAGS": "d", "PYDAG_DATABASE_URL": "sqlite:////f"},
    ],
)
def test_what_needs_no_check_is_read_as_the_check_reads_it(monkeypatch, variables):
    monkeypatch.delenv("PYDAG_CONFIG", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    plain, given = settings._plainly_right(), checked_settings.checked()
    assert given.keys() >= {name.lower().removeprefix("pydag_") for name in variables}
    assert plain == settings.Settings(**given)


@pytest.mark.parametrize("prefix", ["", "a b", "a\n", "é"])
def test_a_prefix_that_no_key_has_is_refused(monkeypatch, prefix):
    monkeypatch.delenv("PYDAG_CONFIG", raising=False)
    monkeypatch.setenv("PYDAG_KEY_PREFIX", prefix)
    with pytest.raises(InvalidSettings, match=r"^PYDAG_KEY_PREFIX: must be of the characters A-Z"):
        load_settings()


@pytest.mark.parametrize("place", ["s3://bucket/logs", "gs:/bucket", "file:///srv/logs", "gs://"])
def test_a_log_store_that_is_no_directory_and_no_bucket_is_refused(monkeypatch, place):
    monkeypatch.delenv("PYDAG_CONFIG", raising=False)
    monkeypatch.setenv("PYDAG_LOG_STORE", place)
    with pytest.raises(InvalidSettings, match=r"^PYDAG_LOG_STORE: must be a directory, or gs://"):
        load_settings()


def test_the_check_knows_every_setting():
    assert {*settings.SETTINGS} == {*checked_settings.CheckedSettings.model_fields}


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ('{"format": "slack", "url": "https://h/x"}', Webhook("https://h/x", "slack")),
        ('{"format": "email", "to": "a@b.org"}', Webhook("", "email", ("a@b.org",))),
        ('{"format": "email", "to": ["a@b.org", "c@d"]}', Webhook("", "email", ("a@b.org", "c@d"))),
    ],
)
def test_a_webhook_has_a_format(monkeypatch, written, found):
    monkeypatch.delenv("PYDAG_CONFIG", raising=False)
    monkeypatch.setenv("PYDAG_WEBHOOKS", f'{{"team": {written}}}')
    assert load_settings().webhooks == {"team": found}


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ('{"format": "slack"}', 'of format "slack" needs "url"'),
        ('{"format": "email", "url": "https://h/T0KEN"}', 'of format "email" needs "to"'),
        ('{"format": "email", "to": ["a@b\\nBcc: c@d"]}', "must be an e-mail"),
        ('{"format": "email", "to": ["a,b@c"]}', "must be an e-mail"),
        ('{"format": "teams", "url": "https://h/T0KEN"}', 'must be "json", "slack"'),
        ('{"url": "https://h/T0KEN", "colour": 1}', "no such setting"),
    ],
)
def test_a_webhook_that_can_not_be_told_is_refused(monkeypatch, written, why):
    monkeypatch.delenv("PYDAG_CONFIG", raising=False)
    monkeypatch.setenv("PYDAG_WEBHOOKS", f'{{"team": {written}}}')
    with pytest.raises(InvalidSettings, match=r"^PYDAG_WEBHOOKS\.TEAM") as caught:
        load_settings()
    assert why in str(caught.value)
    assert "T0KEN" not in str(caught.value)


def test_a_mail_server_is_a_url():
    assert MailServer.parse("smtp://u%40x:p%2F@mail.org") == MailServer(
        "mail.org", 587, is_tls=False, user="u@x", password="p/"
    )
    assert MailServer.parse("smtps://mail.org").port == 465
    assert "p/" not in repr(MailServer.parse("smtp://u%40x:p%2F@mail.org"))


@pytest.mark.parametrize("url", ["mail.org", "smtp://", "http://T0KEN@h", "smtp://u:T0KEN@h:x"])
def test_what_is_no_mail_server_is_refused_and_not_shown(monkeypatch, url):
    monkeypatch.delenv("PYDAG_CONFIG", raising=False)
    monkeypatch.setenv("PYDAG_SMTP_URL", url)
    with pytest.raises(InvalidSettings, match=r"^PYDAG_SMTP_URL: must be smtp://") as caught:
        load_settings()
    assert "T0KEN" not in str(caught.value)


@pytest.mark.parametrize("model", [checked_settings.CheckedSettings, WebSettings, WorkerSettings])
def test_no_setting_answers_with_a_pattern(model):
    found = re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', json.dumps(model.model_json_schema()))
    assert {json.loads(pattern) for pattern in found} <= WORDS.keys()
