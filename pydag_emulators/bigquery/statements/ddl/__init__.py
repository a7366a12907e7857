"""CREATE, DROP and ALTER."""
