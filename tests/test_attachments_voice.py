"""Voice messages: written down by an endpoint that is named for it, and then what somebody said."""

import asyncio
from pathlib import Path
from typing import Any

from sounds import ogg
from teehee.testing.scripted_model import Raw
from telegram_stage import Stage, on_stage
from test_attachments import account, asked, contents, logged

Json = Any
OPTIONS = {"model": "mine", "model_key": "sk-known-to-the-gate-only", "transcription_model": "my-ears"}


async def spoken(stage: Stage, content: bytes, number: int = 1) -> str:
    """Somebody sends a voice message and is answered; gives what the model was told."""
    sam = next((one for one in stage.world.users.values() if not one.is_bot), None) or stage.world.user("Sam")
    chat = stage.world.private(sam)
    sam.sends(chat, "voice", content=content)
    await stage.answered(chat, number)
    return asked(stage.model.requests[-1]).partition("# Received Message\n")[2]


async def test_a_voice_message_is_written_down_and_counts_as_what_was_said(tmp_path: Path) -> None:
    async with on_stage(tmp_path, options=OPTIONS) as stage:
        stage.model.hears = "When is the lamp lit?\nTell me."
        told = await spoken(stage, ogg(3))
        (recording,) = stage.model.recordings
        kept = contents(stage)[0]
        calls = await account(stage)
        later = await _next(stage)
        log = logged(stage)

    assert told == "Sam: [voice message, 3 s]\nWhen is the lamp lit?\nTell me."
    assert (recording["model"], recording["file"]) == ("my-ears", ogg(3))
    assert recording["headers"]["Authorization"] == "Bearer sk-known-to-the-gate-only"
    assert kept["attachments"][0]["text"] == "When is the lamp lit?\nTell me."
    assert calls[0] == ("my-ears", "told", 3, True)
    assert "When is the lamp lit?" in later
    assert len(stage.model.recordings) == 1
    assert "lamp" not in log


async def _next(stage: Stage) -> str:
    sam = next(one for one in stage.world.users.values() if not one.is_bot)
    chat = stage.world.private(sam)
    sam.says(chat, "well?")
    await stage.answered(chat, 2)
    return asked(stage.model.requests[-1])


async def test_without_an_endpoint_for_it_the_line_stays(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        told = await spoken(stage, ogg(3))
        fetched = [call for call in stage.world.calls if call.method == "getfile"]

    assert told == "Sam: [voice message, 3 s]"
    assert fetched == []


async def test_what_cannot_be_heard_has_its_words_and_the_turn_goes_on(tmp_path: Path) -> None:
    async with on_stage(tmp_path, options=OPTIONS) as stage:
        told = [await spoken(stage, b"ID3 no opus", 1)]
        stage.model.hears = ""
        told.append(await spoken(stage, ogg(1), 2))
        stage.model.hears = Raw(b"", 503)
        told.append(await spoken(stage, ogg(1), 3))
        stage.model.hears = Raw(b"<html>", 200)
        told.append(await spoken(stage, ogg(1), 4))
        told.append(await spoken(stage, ogg(1) + bytes(4_000_000), 5))

    assert [one.splitlines()[-1] for one in told] == [
        "[voice message, 3 s, which the model would not read]",
        "[voice message, 3 s, in which no words were heard]",
        "[voice message, 3 s, which no model could read just now]",
        "[voice message, 3 s, which no model could read just now]",
        "[voice message, 3 s, which is too long to be listened to]",
    ]


async def test_a_recording_longer_than_the_budget_is_not_sent(tmp_path: Path) -> None:
    """Seconds count as tokens where no price is known; what is in the air is held by what its frames say."""
    options = {**OPTIONS, "model_tokens_per_user": 12_000}
    async with on_stage(tmp_path, options=options) as stage:
        long = await spoken(stage, ogg(2400, b"\x1b\x02" + bytes(2)))  # four hours
        short = await asyncio.wait_for(spoken(stage, ogg(3), 2), 30)

    assert long.endswith("which no model may read today any more: the budget is used up]")
    assert short.endswith("I hear you.")
    assert len(stage.model.recordings) == 1
