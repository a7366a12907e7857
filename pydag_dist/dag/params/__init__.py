"""The params of operators, by service, and what they are made of."""
