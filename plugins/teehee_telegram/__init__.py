"""Telegram: the agent as a guest in private chats and groups, polite there and within the limits of the Bot API."""
