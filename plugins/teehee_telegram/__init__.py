"""Telegram: the agent in private chats and groups.

`plugin` is the mind's half, `connector` the gate's: neither process loads what only the other needs.
"""
