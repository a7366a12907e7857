"""CSV files of load jobs."""
