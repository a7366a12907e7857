"""Runs that are late, chats and e-mail; and receivers that are dead, beside others that are not."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pydag_dist.coordinator.alerts import webhooks
from pydag_dist.coordinator.alerts.http_post import Post
from pydag_dist.receivers import Webhook
from tests.integration.test_webhooks import ended, installation, no_proxy, telling
from tests.support import wait_until
from tests.support.certificates import make_certificates
from tests.support.cluster import call, dag
from tests.support.installation import Installation
from tests.support.mail_receiver import MailReceiver
from tests.support.receiver import Receiver

__all__ = ["installation", "no_proxy"]

MAILED = {"shift": Webhook(format="email", to=("a@pydag.org", "b@pydag.org"))}
SENDER = "pydag@pydag.org"


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server's, which this process trusts."""
    make_certificates(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return tmp_path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks and tries without delays."""
    monkeypatch.setattr(webhooks, "EVERY", 0.01)
    monkeypatch.setattr(webhooks, "FIRST_DELAY", 0)


def late(installation: Installation, run_id: str = "late", **fields: Any) -> str:
    """A run that never starts and is late at once."""
    made = dag([call("t", "work")], expected_within=0.1, **fields)
    installation.engine.steering.submit(
        run_id, made.to_json(), made.dag_id, expected_within=made.expected_within or 0
    )
    return run_id


def wait_told(installation: Installation) -> None:
    key = installation.engine.store.key
    waiting = key("late"), key("webhooks")
    wait_until(lambda: not installation.connection.exists(*waiting), "all are told")


@pytest.mark.usefixtures("quick")
def test_a_run_that_never_started_is_told_of_once(installation: Installation) -> None:
    with Receiver(statuses=(500,)) as receiver:
        run_id = late(installation, on_late=receiver.url)
        # A coordinator that died in the middle of it.
        wait_until(lambda: installation.engine.webhooks.take(0.3), "it is late")
        with telling(installation, {}), telling(installation, {}):
            wait_told(installation)

    [message] = receiver.taken
    head = installation.engine.reading.run_head(run_id)
    assert (message["event"], message["run_id"], message["state"]) == ("late", run_id, "queued")
    assert message["expected_at"] == int(head["expected_at"]) / 1e6
    assert len(receiver.paths) == 2


@pytest.mark.usefixtures("quick")
def test_its_end_is_told_beside_that_it_is_late(installation: Installation) -> None:
    with Receiver() as receiver, telling(installation, {}):
        run_id = ended(installation, on_success=receiver.url)
        late(installation, on_late=receiver.url)
        wait_told(installation)

    assert sorted((each["event"], each["run_id"]) for each in receiver.taken) == [
        ("ended", run_id),
        ("late", "late"),
    ]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("is_safe", [True, False])
def test_an_e_mail_is_sent(
    installation: Installation, certificates: Path, caplog: pytest.LogCaptureFixture, is_safe: bool
) -> None:
    """By STARTTLS; a server on this host need not offer it."""
    with MailReceiver(certificates if is_safe else None) as server, caplog.at_level(logging.INFO):
        url = f"smtp://pydag:S3CRET%2F@localhost:{server.port}"
        with telling(installation, MAILED, smtp_url=url, smtp_from=SENDER):
            late(installation, on_late="shift")
            wait_told(installation)

    [mail] = server.taken
    assert mail["To"] == "a@pydag.org, b@pydag.org"
    assert mail["Subject"].startswith("test is late: its end was expected at ")
    assert server.login == "pydag S3CRET/"
    assert server.was_safe is is_safe
    assert "S3CRET" not in caplog.text


def test_a_certificate_that_nobody_trusts_is_told_no_password(
    installation: Installation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_certificates(tmp_path, "localhost")
    with MailReceiver(tmp_path) as server:
        url = f"smtp://pydag:S3CRET@localhost:{server.port}"
        with telling(installation, MAILED, smtp_url=url, smtp_from=SENDER):
            ended(installation, on_success="shift")
            wait_until(lambda: "webhook shift: " in caplog.text, "it was tried")

    assert "webhook shift: the server's certificate: " in caplog.text
    assert (server.login, server.taken) == ("", [])


@pytest.mark.usefixtures("quick")
def test_without_a_mail_server_the_log_says_so(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    with telling(installation, MAILED):
        ended(installation, on_success="shift")
        wait_told(installation)

    assert "for e-mail set PYDAG_SMTP_URL and PYDAG_SMTP_FROM here" in caplog.text


def test_dead_receivers_hold_up_no_other(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each host is a receiver of its own: one hangs, one refuses, one takes its time.

    The others are told within two seconds; here, where other tests run too, before a hanging call
    would have ended.
    """
    monkeypatch.setattr(webhooks, "TIMEOUT", 60)
    with (
        Receiver(statuses=(0,) * 1_000) as hangs,
        Receiver(statuses=(500,) * 1_000) as refuses,
        Receiver(wait=1.0) as slow,
        Receiver() as good,
        MailReceiver() as mails,
    ):
        named = {
            "hangs": Webhook(hangs.url.replace("127.0.0.1", "127.0.0.2")),
            "refuses": Webhook(refuses.url.replace("127.0.0.1", "127.0.0.3"), "slack"),
            "slow": Webhook(slow.url.replace("127.0.0.1", "127.0.0.4"), "google-chat"),
            "gone": Webhook("http://127.0.0.5:1/"),
            "good": Webhook(good.url),
            **MAILED,
        }
        mail = {"smtp_url": f"smtp://localhost:{mails.port}", "smtp_from": SENDER}
        for number in range(10):
            for dead in ("hangs", "refuses", "slow", "gone"):
                late(installation, f"{dead}{number}", on_late=dead)
        with telling(installation, named, **mail):
            wait_until(lambda: hangs.paths and refuses.paths and slow.paths, "they were called")
            began = time.monotonic()
            late(installation, "fine", on_late=["good", "shift"])
            wait_until(lambda: good.taken and mails.taken, "the others were told")
            took = time.monotonic() - began
            hangs.let_go()

    assert took < 30


def test_a_receiver_that_hangs_within_tls_is_cut_off(certificates: Path) -> None:
    with Receiver(statuses=(0,), certificates=certificates) as receiver:
        done = threading.Event()
        post = Post(receiver.url.replace("127.0.0.1", "localhost"), lambda: b"{}", done.set)
        post.start(webhooks.TIMEOUT)
        wait_until(lambda: receiver.paths, "it was called")
        post.stop()
        assert done.wait(30)
