"""Dataproc's operators."""
