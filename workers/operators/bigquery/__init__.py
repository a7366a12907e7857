"""BigQuery's operators."""
