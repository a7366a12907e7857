"""Prints what webhooks are told: ``python receiver.py 9000`` takes POSTs at http://127.0.0.1:9000."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver(BaseHTTPRequestHandler):
    """Takes every message."""

    def do_POST(self) -> None:
        """Print the message, and say that it was taken."""
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(json.dumps(message, indent=2), flush=True)
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
