"""What a job of each kind does."""
