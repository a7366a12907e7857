"""The Celery side of the engine: the broker, the messages, and the chord that ends tasks."""
