"""The processes of a worker's pool: what they write, and how they end with nothing left behind."""
