"""The HTTP side: BigQuery's REST API v2, and the service's own paths under `/-/`."""
