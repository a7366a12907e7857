"""Reads scripts: procedural language as steps."""
