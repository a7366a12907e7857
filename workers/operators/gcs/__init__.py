"""Cloud Storage's operators."""
