"""What commands print with: tables, a run that is watched, the one way to a terminal."""
