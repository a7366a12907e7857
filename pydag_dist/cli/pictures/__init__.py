"""Pictures of DAGs and runs, and what is computed for them: the same as `ui/src` does."""
