"""Stand-ins for BigQuery, Dataproc and Cloud Storage: Google's APIs on this machine."""
