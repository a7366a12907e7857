"""What answers look like, and what requests bring along, by topic."""
