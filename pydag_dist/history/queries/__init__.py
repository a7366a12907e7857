"""What is asked of the database of the history, each question on a connection that is given."""
