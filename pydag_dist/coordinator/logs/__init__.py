"""What coordinators do with logs."""
