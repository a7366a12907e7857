"""Executes scripts: what runs them, and each of their statements as a child job."""
