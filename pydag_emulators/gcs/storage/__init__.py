"""Buckets, objects and what is known of them, as directories, files and extended attributes."""
