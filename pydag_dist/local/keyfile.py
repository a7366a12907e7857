"""A service account's key file that opens nothing: it stands for a real one on a laptop."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydag_dist.errors import LocalServiceError


def write_key_file(path: Path, project: str, token_url: str) -> None:
    """Write a key file for Google's client libraries; a key that is there already is kept.

    Its tokens come from `token_url`, which must answer like https://oauth2.googleapis.com/token.
    """
    try:
        private_key = json.loads(path.read_text())["private_key"]
    except FileNotFoundError:
        private_key = _new_private_key()
    account = f"local@{project}.iam.gserviceaccount.com"
    content = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": "local",
        "private_key": private_key,
        "client_email": account,
        "client_id": "1",
        "token_uri": token_url,
    }
    fresh = path.with_suffix(".tmp")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
    fresh.replace(path)


def _new_private_key() -> str:
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - optional extra
        from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415
    except ImportError:
        message = "a local key file needs cryptography: pip install 'pydag-dist[local]'"
        raise LocalServiceError(message) from None
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem.decode()
