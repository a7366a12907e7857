"""What coordinators keep for long, and for how long."""
