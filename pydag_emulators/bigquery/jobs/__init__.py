"""What a job is, and how one is run and recorded, whatever its kind."""
