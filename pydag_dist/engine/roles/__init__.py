"""What can be done with the state in Redis, by those who do it: a role for each of them."""
