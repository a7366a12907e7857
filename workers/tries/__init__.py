"""One try of a task: what it knows, how its params are rendered, how it is deferred, and ends."""
