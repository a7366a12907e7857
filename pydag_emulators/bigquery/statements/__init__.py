"""What each kind of SQL statement does in its transaction."""
