"""GoogleSQL's types: every expression gets one, and literals and structs are coerced by it."""
