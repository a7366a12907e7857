"""How a job becomes Spark on this machine, and what its script finds there."""
