"""A Bot API on loopback with simulated people and chats, driven in tests by real clients."""

from teehee.testing.telegram_server.chats import Chat
from teehee.testing.telegram_server.people import Bot, User
from teehee.testing.telegram_server.process import TelegramProcess, telegram_process
from teehee.testing.telegram_server.server import TelegramServer
from teehee.testing.telegram_server.updates import Twist
from teehee.testing.telegram_server.world import Sent, World

TelegramWorld = World

__all__ = [
    "Bot", "Chat", "Sent", "TelegramProcess", "TelegramServer", "TelegramWorld", "Twist", "User", "World",
    "telegram_process",
]  # fmt: skip
