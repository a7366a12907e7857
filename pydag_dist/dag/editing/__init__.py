"""Changes of a DAG file's text that touch nothing but what is meant, and merges of such changes."""
