"""Newline-delimited JSON files of load jobs."""
