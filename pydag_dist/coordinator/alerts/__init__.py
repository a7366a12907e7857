"""What is told of runs that are late or have ended: webhooks, chats, e-mail."""
