"""A server that takes e-mail by SMTP, as far as our client speaks it."""

from __future__ import annotations

import base64
import socketserver
import ssl
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from tests.support.serving import Serving


class MailReceiver(Serving):
    """Keeps what it takes in `taken`; with `certificates` it wants STARTTLS first.

    `login` is "user password" of the last client that logged in.
    """

    def __init__(self, certificates: Path | None = None) -> None:
        self.taken: list[EmailMessage] = []
        self.login = ""
        self.was_safe = False  # whether the last message came by TLS
        receiver, tls = self, None
        if certificates:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificates / "server.pem", certificates / "server.key")

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                is_safe = False
                self._answer("220 here")
                while line := self.rfile.readline().decode().strip():
                    verb, _, rest = line.partition(" ")
                    verb = verb.upper()
                    if verb in {"EHLO", "HELO"}:
                        self._answer("250-here\r\n250-AUTH PLAIN")
                        self._answer("250 STARTTLS" if tls and not is_safe else "250 8BITMIME")
                    elif verb == "STARTTLS" and tls:
                        self._answer("220 go on")
                        self.connection = tls.wrap_socket(self.connection, server_side=True)
                        self.rfile = self.connection.makefile("rb")
                        self.wfile = self.connection.makefile("wb", buffering=0)
                        is_safe = True
                    elif verb == "AUTH":
                        told = base64.b64decode(rest.rpartition(" ")[2]).decode()
                        receiver.login = " ".join(told.split("\0")[1:])
                        self._answer("235 welcome")
                    elif verb == "DATA":
                        self._answer("354 go on")
                        lines = iter(self.rfile.readline, b".\r\n")
                        mail = message_from_bytes(b"".join(lines), policy=policy.default)
                        assert isinstance(mail, EmailMessage)
                        receiver.was_safe = is_safe
                        receiver.taken.append(mail)
                        self._answer("250 taken")
                    else:
                        self._answer("250 fine")

            def finish(self) -> None:
                super().finish()
                self.connection.close()

            def _answer(self, text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
