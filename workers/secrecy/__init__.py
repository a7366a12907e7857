"""Secrets: where their values come from, and how they are kept out of all that others see."""
