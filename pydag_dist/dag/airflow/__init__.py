"""Reads DAG files of Airflow without running them: their syntax trees, and what is constant."""
