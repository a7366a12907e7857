"""What is in the DuckDB file: datasets, tables, rows."""
