"""Texts of DAG files: JSON, the shapes of texts, and the words for what is wrong with them."""
