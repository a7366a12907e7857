"""The one error that ends an emulator at its start."""

from __future__ import annotations


class CannotStart(Exception):
    """An emulator can't run here; the message says why, and what to do."""
