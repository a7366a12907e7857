"""Every command of `pydag`, by what it is about."""
