"""Running jobs: their processes, their output, and the journal of those that ran."""
