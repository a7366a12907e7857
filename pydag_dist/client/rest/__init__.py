"""The client where Redis is not reachable: the same calls, by REST of `pydag web`."""
