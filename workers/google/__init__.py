"""What talks to Google: clients, what their answers mean, and how long they are asked."""
