"""The embedded default: Redis, Google's services and pydag itself on one machine."""
