"""What the world sees over HTTP: the chat page, its API, receipts, health."""
