"""Telegram: the agent as a guest in private chats and groups."""
