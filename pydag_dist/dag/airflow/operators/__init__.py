"""Operators of Airflow and what they become, by service."""
