"""One e-mail by SMTP."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

from pydag_dist.coordinator.alerts.call import Call
from pydag_dist.receivers import MailServer

_THIS_HOST: Final = {"localhost", "127.0.0.1", "::1"}


class Mail(Call):
    """A message that the server takes for at least one of its receivers."""

    def __init__(
        self,
        server: MailServer,
        sender: str,
        to: Sequence[str],
        body: Callable[[], bytes],
        done: Callable[[], None],
    ) -> None:
        super().__init__(body, done)
        self._server, self._sender, self._to = server, sender, to

    def _call(self, body: bytes) -> str | None:
        server = self._server
        connect = _Connecting(self._connect, self._left())
        try:
            connect.begin(server)
            connect.ehlo_or_helo_if_needed()
            if not server.is_tls and (
                server.host not in _THIS_HOST or connect.has_extn("starttls")
            ):
                connect.starttls(context=ssl.create_default_context())
            if server.user:
                connect.login(server.user, server.password)
            connect.sendmail(self._sender, list(self._to), body)
        except smtplib.SMTPNotSupportedError:
            return "the server has no STARTTLS, or no login"
        except smtplib.SMTPResponseException as error:
            return f"the server answers {error.smtp_code}"  # its text may repeat what it was told
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            return f"the server refuses all addresses: {', '.join(map(str, codes))}"
        except ssl.SSLCertVerificationError as error:
            return f"the server's certificate: {error.verify_message}"
        except (smtplib.SMTPServerDisconnected, OSError) as error:
            return getattr(error, "strerror", None) or "the connection was closed"
        finally:
            connect.close()
        return None


class _Connecting(smtplib.SMTP):
    """smtplib's client on our own connection."""

    def __init__(self, connect: Callable[..., socket.socket], timeout: float) -> None:
        super().__init__(timeout=timeout, local_hostname="localhost")
        self._open = connect

    def begin(self, server: MailServer) -> None:
        """Connect and read the server's greeting."""
        self._tls = ssl.create_default_context() if server.is_tls else None
        self._host = server.host  # what `starttls` checks the certificate for
        code, text = self.connect(server.host, server.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)

    def _get_socket(self, host: Any, port: Any, timeout: Any) -> Any:  # noqa: ARG002
        connection = self._open((host, port))
        return self._tls.wrap_socket(connection, server_hostname=host) if self._tls else connection
