"""Live streams: one hub reads, however many look on."""
