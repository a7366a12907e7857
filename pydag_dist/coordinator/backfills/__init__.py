"""What coordinators do for backfills: bring them on, and give back those that Redis has lost."""
