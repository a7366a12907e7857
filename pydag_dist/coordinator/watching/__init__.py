"""What is told to those who watch an installation: metrics, traces, lineage. All of it is optional.

The hot path pays nothing for it: the recorder hands on what it has written, and never waits.
"""
