"""GoogleSQL as sqlglot reads it here."""
