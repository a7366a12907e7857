"""What the URL of Redis may say, and what is said of a wrong one."""

from __future__ import annotations

import ssl

import pytest
from kombu.utils.url import url_to_parts

from pydag_dist import Client
from pydag_dist.engine import connect
from pydag_dist.engine.celery.messages import celery_config
from pydag_dist.errors import InvalidSettings
from pydag_dist.redis_url import RedisUrl
from pydag_dist.settings import Settings, load_settings

SECRETS = ["S3CR", "3T77"]  # the parts of a password around a character that has a meaning
NO_SCHEME = "does not begin with redis://, rediss:// or unix://"
SPECIAL = "in a user or a password write %23, %2F, %3F, %40"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("127.0.0.1:6379", NO_SCHEME),
        (":S3CR3T77@127.0.0.1:6379", NO_SCHEME),
        ("redis:/host", NO_SCHEME),
        ("6379", NO_SCHEME),
        ("sentinel://:S3CR3T77@h:26379/0", "neither Sentinel nor a cluster"),
        ("redis+cluster://h", "neither Sentinel nor a cluster"),
        ("ftp://h", NO_SCHEME),
        ("redis://:S3CR#3T77@h:6379/0", SPECIAL),
        ("redis://:S3CR/3T77@h:6379/0", SPECIAL),
        ("redis://:S3CR?3T77@h:6379/0", SPECIAL),
        ("redis://:S3CR[3T77@h:6379/0", SPECIAL),
        ("redis://:S3CR3T77#", SPECIAL),
        ("redis://:S3CR 3T77@h", "space or a line break"),
        ("redis://:S3CR3T77@h\n", "space or a line break"),
        ("redis://:S3CR3T77@h:port/0", "a port that is no number from 1 to 65535"),
        ("redis://h:0", "a port that is no number from 1 to 65535"),
        ("redis://h:65536", "a port that is no number from 1 to 65535"),
        ("redis://a:1,b:2", "a port that is no number from 1 to 65535"),
        ("redis://h/zero", "does not end with the number of a database"),
        ("redis://h/1/2", "does not end with the number of a database"),
        ("redis://h/-1", "does not end with the number of a database"),
        ("redis://h?db=one", "does not end with the number of a database"),
        ("redis://h?S3CR=3T77", "an unknown option after its"),
        ("redis://h?S3CR3T77", "something else than NAME=VALUE"),
        ("redis://h?socket_timeout=S3CR", "socket_timeout, which is not a number of seconds"),
        ("redis://h?ssl_ca_certs=/x", "which is for rediss:// only"),
        ("rediss://h?ssl_ca_certs=/no/such", "not a file of certificates that is there"),
        ("rediss://h?ssl_ca_certs=/etc/hostname", "ssl_ca_certs that can't be used"),
        ("rediss://h?ssl_certfile=/etc/hostname", "ssl_certfile or ssl_keyfile that can't be"),
        ("rediss://h?ssl_keyfile=/etc/hostname", "ssl_keyfile without ssl_certfile"),
        ("rediss://h?ssl_cert_reqs=maybe", "ssl_cert_reqs, which is not required"),
        ("unix://run/redis.sock", "names no file"),
        ("unix://", "names no file"),
    ],
)
def test_a_wrong_one_gets_a_sentence_without_its_password(monkeypatch, url, said):
    told = []
    for use in (connect, Client):
        with pytest.raises(InvalidSettings) as caught:
            use(url)
        told.append(str(caught.value))
    monkeypatch.setenv("PYDAG_REDIS_URL", url)
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    told.append(str(caught.value))
    assert told[0] == told[1]
    assert told[1].removeprefix("the URL of Redis ") == told[2].removeprefix("PYDAG_REDIS_URL: ")
    assert said in told[2]
    assert "\n" not in told[2]
    assert not any(part in told[2] for part in SECRETS)


PASSWORDS = ["plain", "a;b", "a:b", "per%cent", "p@ss", "%23%2F%3F%40%5B%3B%25%20", "é"]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix"])
def test_redis_py_and_celery_get_the_same_login(password, scheme):
    place = "/run/r%20s?db=3" if scheme == "unix" else "[::1]:77/3"
    url = f"{scheme}://us%3Aer:{password}@{place}"
    given = RedisUrl.parse(url)
    options = connect(url).connection_pool.connection_kwargs
    config = celery_config(Settings(redis_url=url))
    celery = url_to_parts(config["broker_url"].removeprefix("redis+"))

    assert ";" not in config["broker_url"]  # another broker, to Celery
    assert options["username"] == celery.username == given.username == "us:er"
    assert options["password"] == celery.password == given.password
    assert given.database == int(options["db"]) == 3
    if scheme == "unix":
        assert options["path"] == f"/{celery.path}" == "/run/r s"
        assert celery.query == {"virtual_host": "3"}
    else:
        assert (options["host"], options["port"]) == (celery.hostname, celery.port) == ("::1", 77)
        assert celery.path == "3"
    assert given.shown.startswith(f"{scheme}://us%3Aer:***@")
    assert given.password not in repr(given)


def test_tls_verifies_by_default():
    for options in (
        connect("rediss://h").connection_pool.connection_kwargs,
        celery_config(Settings(redis_url="rediss://h"))["broker_use_ssl"],
        celery_config(Settings(redis_url="rediss://h"))["redis_backend_use_ssl"],
    ):
        assert options["ssl_cert_reqs"] == ssl.CERT_REQUIRED
        assert options["ssl_check_hostname"] is True


def test_tls_can_be_told_not_to_verify():
    assert RedisUrl.parse("rediss://h?ssl_cert_reqs=none").tls == {
        "ssl_cert_reqs": ssl.CERT_NONE,
        "ssl_check_hostname": False,
    }
    assert RedisUrl.parse("rediss://h?ssl_check_hostname=False").tls == {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": False,
    }
