"""The calls of the API: clusters, jobs, batches, operations."""
