"""GoogleSQL to DuckDB: parse, find the tables, lower functions and types, write SQL."""
