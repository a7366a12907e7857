"""The process of the command `pydag`, which `python -m pydag_dist` is, too."""

from __future__ import annotations


def main() -> None:
    """Run the command. Ctrl-C while it is imported, or before it handles that, is no traceback."""
    try:
        from pydag_dist.cli import main as run  # noqa: PLC0415  most of the time of a short command

        run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # what a shell says of what Ctrl-C has ended


if __name__ == "__main__":
    main()
