"""Operators that use published DAGs; they ask the engine, as everybody else does."""
