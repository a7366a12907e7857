"""What the worker and its operators agree on: what an operator is, is given, and answers."""
