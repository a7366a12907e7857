"""What stands before the routes: who may come in, and the pages that need nobody known."""
