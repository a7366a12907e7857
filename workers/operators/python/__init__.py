"""``python.call`` and ``branch``: functions of modules that the worker may call."""
