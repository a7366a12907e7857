"""What runs on a worker host: the Celery app and the operators."""
