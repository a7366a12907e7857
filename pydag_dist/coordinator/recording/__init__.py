"""What keeps the history: writes it, and gives a Redis that was lost back what it says."""
