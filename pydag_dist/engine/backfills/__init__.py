"""Backfills: which due times of a DAG get a run each, and how far that is."""
