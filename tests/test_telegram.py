"""Ada on Telegram, as people meet her: real processes, python-telegram-bot's client, simulated people."""

from pathlib import Path

from telegram_stage import on_stage


async def test_somebody_says_hello_in_private_and_is_answered_once(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        sam = stage.world.user("Sam")
        chat = stage.world.private(sam)
        sam.says(chat, "hello")

        assert len(await stage.answered(chat)) == 1
