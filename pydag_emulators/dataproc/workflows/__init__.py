"""Workflow templates and the workflows that are made of them."""
