"""A file that somebody sent, fetched from Telegram: no more of it than may be read, and its address in no log."""

import re

import httpx
from telegram.error import BadRequest, TelegramError

from teehee.connector import FILE_LIMIT, ActionFailed, Unavailable
from teehee_telegram.api import Api

PLAIN = re.compile(r"[\w-]+(/[\w.-]*[\w-])+", re.ASCII)  # a path as Telegram gives it, and none that leads elsewhere
PATIENCE = httpx.Timeout(30.0, connect=10.0)  # the gate itself waits less


async def fetched(api: Api, id: str) -> bytes:
    """Its bytes. Raises ActionFailed with the code `gone` or `too-large`, Unavailable while Telegram is away."""
    try:
        told = await api.call("getFile", {"file_id": id})
    except BadRequest as error:
        code = "too-large" if "too big" in error.message.lower() else "gone"
        raise ActionFailed("Telegram does not give out this file", code=code) from None
    except TelegramError:
        raise Unavailable("Telegram does not say where the file is", code="telegram-away") from None
    path = told.get("file_path") if isinstance(told, dict) else None
    if not isinstance(path, str) or not PLAIN.fullmatch(path):
        raise ActionFailed("Telegram names no file here", code="gone")
    try:
        return await _downloaded(f"{api.bot.base_file_url}/{path}")
    except httpx.HTTPError:  # what it says may hold the address, and that the token
        raise Unavailable("the download broke off", code="telegram-away") from None


async def _downloaded(url: str) -> bytes:
    content = bytearray()
    plain = {"accept-encoding": "identity"}  # what is packed could be a thousand times as long
    async with (
        httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client,
        client.stream("GET", url, headers=plain) as answer,
    ):
        if answer.status_code != 200:
            raise ActionFailed(f"Telegram answered {answer.status_code}", code="gone")
        async for piece in answer.aiter_raw():
            content += piece
            if len(content) > FILE_LIMIT:
                raise ActionFailed("the file is larger than may be read", code="too-large")
    return bytes(content)
