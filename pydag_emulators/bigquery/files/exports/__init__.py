"""Files that extract jobs write, by format."""
