"""`python -m pydag_dist` is the command `pydag`."""

from __future__ import annotations

from pydag_dist.cli import main

main()
