"""Measurements against the goals of the design: ``make bench``, or ``python -m benchmarks``."""
