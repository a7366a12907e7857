"""What a try writes, on its way from file descriptors and loggers into its log in Redis."""
