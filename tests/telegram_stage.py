"""Ada on Telegram, for tests: the real processes, a scripted model, and a Telegram of simulated people."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teehee.evidence import leaf
from teehee.testing import Running, ScriptedModel, TelegramServer, TelegramWorld, running, until
from teehee.testing.scripted_model import Script
from teehee.testing.telegram_server import Chat, Sent

Json = Any
SETTINGS = {"TELEGRAM_USER_PER_MINUTE": "1000", "TELEGRAM_CHAT_PER_MINUTE": "1000"}


@dataclass
class Stage:
    """A running agent on a simulated Telegram."""

    up: Running
    world: TelegramWorld
    server: TelegramServer
    model: ScriptedModel

    def is_listening(self) -> bool:
        return any(call.method in ("deletewebhook", "setwebhook") for call in self.world.calls)

    def texts(self, chat: Chat) -> list[str]:
        """What the agent has said in a chat, oldest first."""
        return [sent.text for sent in self.sent(chat)]

    def sent(self, chat: Chat) -> list[Sent]:
        return [one for one in self.world.sent if one.chat == chat.id]

    async def answered(self, chat: Chat, number: int = 1, seconds: float = 15.0) -> list[str]:
        """What was said in a chat, once there are so many messages of the agent's."""
        await until(lambda: len(self.texts(chat)) >= number, seconds=seconds)
        return self.texts(chat)

    async def outcomes(self) -> list[tuple[str, str]]:
        """(state, detail) of every outcome in the log."""
        return [(one.state, one.detail) for one in await self.up.leaves() if isinstance(one, leaf.Outcome)]


def character(folder: Path, server: TelegramServer, settings: Mapping[str, Json] | None = None, **more: Json) -> str:
    """Writes Ada's file; gives its path. `settings` are the character's own, `more` is put beside them."""
    file = folder / "ada.json"
    own = {"TELEGRAM_API_ROOT": server.url, **SETTINGS, **(settings or {})}
    ada = {
        "name": "Ada",
        "bio": ["Ada keeps a lighthouse."],
        "plugins": ["@elizaos/plugin-telegram"],
        "settings": own,
        "secrets": {"TELEGRAM_BOT_TOKEN": server.world.me.token},
        **more,
    }
    file.write_text(json.dumps(ada))
    return str(file)


@contextlib.asynccontextmanager
async def on_stage(
    folder: Path,
    *,
    script: list[Script] | None = None,
    world: TelegramWorld | None = None,
    settings: Mapping[str, Json] | None = None,
    options: Mapping[str, Json] | None = None,
    failpoint: str = "",
    is_ready: bool = True,
    **more: Json,
) -> AsyncIterator[Stage]:
    """Ada, ready: her bot has said who it is."""
    async with ScriptedModel(script) as model, TelegramServer(world) as server:
        file = character(folder, server, settings, **more)
        given = {"model_url": model.url, "replies_per_minute": 1000, **(options or {})}
        async with running(folder / "data", [file], failpoint=failpoint, **given) as up:
            stage = Stage(up, server.world, server, model)
            if is_ready:
                await until(stage.is_listening)
            yield stage
