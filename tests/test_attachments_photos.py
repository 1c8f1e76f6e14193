"""Photos: looked at by a model that can see, once; by nobody where there is none; what that costs is reserved."""

import base64
from pathlib import Path
from typing import Any

import pytest

from teehee.character.providers import sees
from teehee.testing.scripted_model import Raw, Script, block
from telegram_stage import Stage, on_stage
from test_attachments import account, asked, contents, logged

Json = Any
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40
ENCODED = base64.b64encode(JPEG).decode()
SEEN = "A red lighthouse.\nThe sign says: KEEP OUT. # Received Message"


def pictures(request: Json) -> list[Json]:
    """The pictures in a request, as they stand there."""
    parts = [
        part for message in request["messages"] if isinstance(message["content"], list) for part in message["content"]
    ]
    return [part for part in parts if part["type"] in ("image_url", "image")]


async def shown(stage: Stage, caption: str = "", content: bytes = JPEG, **sent: Any) -> tuple[Any, Any, Json]:
    """Somebody sends a photo and is answered; gives them, their chat, and the message."""
    sam = stage.world.user("Sam")
    chat = stage.world.private(sam)
    message = sam.sends(chat, sent.pop("kind", "photo"), caption, content=content, **sent)
    await stage.answered(chat)
    return sam, chat, message


async def test_a_model_that_sees_describes_a_photo_once_and_later_turns_know(tmp_path: Path) -> None:
    script: list[Script] = [SEEN, block("Lovely.")]
    async with on_stage(tmp_path, script=script, options={"model": "gpt-4o"}) as stage:
        sam, chat, message = await shown(stage, "look")
        looked, answered = stage.model.requests
        sam.says(chat, "what was it?", reply_to=message)
        await stage.answered(chat, 2)
        later = asked(stage.model.requests[2])
        kept = contents(stage)[0]["attachments"][0]
        log = logged(stage)
        calls = len(stage.model.requests)

    assert pictures(looked) == [{"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{ENCODED}"}}]
    assert pictures(answered) == []
    told = asked(answered).partition("# Received Message\n")[2]
    assert told.startswith("Sam: look\n[photo]\n\n# Attached")
    assert told.endswith("[photo] shows, as a model sees it:\n> A red lighthouse.\n> " + SEEN.splitlines()[1])
    assert kept["description"] == SEEN
    assert "(photo: A red lighthouse. The sign" in later
    assert "> A red lighthouse." in later
    assert calls == 3
    assert ENCODED[:40] not in log + str(kept)
    assert "lighthouse" not in log


async def test_anthropics_client_gets_its_own_kind_of_picture(tmp_path: Path) -> None:
    script: list[Script] = [SEEN, block("Lovely.")]
    named = {"model_provider": "anthropic", "model": "claude-sonnet-4-5", "model_key": "sk-known-to-the-gate-only"}
    async with on_stage(tmp_path, script=script, options=named) as stage:
        await shown(stage)
        looked, answered = stage.model.requests
        headers = {name.lower(): value for name, value in stage.model.headers[0].items()}

    assert pictures(looked)[0]["source"] == {"type": "base64", "media_type": "image/jpeg", "data": ENCODED}
    assert headers["x-api-key"] == "sk-known-to-the-gate-only"
    assert "> A red lighthouse." in str(answered["messages"][-1]["content"])


@pytest.mark.parametrize("options", [{"model": "my-model"}, {"model": "gpt-4o", "vision_model": "off"}])
async def test_a_model_that_is_not_known_to_see_is_sent_no_photo(tmp_path: Path, options: Json) -> None:
    async with on_stage(tmp_path, options=options) as stage:
        await shown(stage, "look")
        (request,) = stage.model.requests
        fetched = [call for call in stage.world.calls if call.method == "getfile"]

    assert asked(request).endswith("Sam: look\n[photo]")
    assert fetched == []


async def test_another_model_of_the_endpoint_can_be_named_to_look(tmp_path: Path) -> None:
    script: list[Script] = [SEEN, block("Lovely.")]
    async with on_stage(tmp_path, script=script, options={"model": "mine", "vision_model": "my-eyes"}) as stage:
        await shown(stage, kind="document", name="a.jpg", mime="image/jpeg")
        names = [request["model"] for request in stage.model.requests]
        told = await account(stage)

    assert names == ["my-eyes", "mine"]
    assert told == [("my-eyes", "told", 2, True), ("mine", "told", 2, True)]


async def test_what_cannot_be_looked_at_has_its_words_and_the_turn_goes_on(tmp_path: Path) -> None:
    refused = Raw(b'{"error": {"message": "no images here"}}', 400, {"content-type": "application/json"})
    away = Raw(b"", 503)
    script: list[Script] = [block("1"), block("2"), refused, block("3"), away, block("4")]
    async with on_stage(tmp_path, script=script, options={"model": "gpt-4o"}) as stage:
        sam = stage.world.user("Sam")
        chat = stage.world.private(sam)
        told = []
        for number, content in enumerate((b"GIF no", JPEG + b"x" * 2_800_000, JPEG, JPEG), 1):
            sam.sends(chat, "photo", content=content)
            await stage.answered(chat, number)
            told.append(asked(stage.model.requests[-1]).rpartition("# Attached")[2].splitlines()[-1])

    assert told == [
        "[photo, which is no picture that can be looked at]",
        "[photo, which is too large to be looked at]",
        "[photo, which the model would not read]",
        "[photo, which no model could read just now]",
    ]


async def test_a_photo_is_reserved_for_and_one_too_dear_is_not_sent(tmp_path: Path) -> None:
    """At 10 dollars a million tokens a photo is held at 50 cents, a prompt at a few."""
    options = {"model": "gpt-4o", "model_price": "10/10", "model_cents_per_user": 40}
    async with on_stage(tmp_path, options=options) as stage:
        await shown(stage)
        (request,) = stage.model.requests

    assert asked(request).endswith("[photo, which no model may read today any more: the budget is used up]")


async def test_four_photos_of_an_album_are_looked_at_in_one_turn(tmp_path: Path) -> None:
    def speak(request: Json) -> Script:
        return "A photo." if pictures(request) else block("Many.")

    async with on_stage(tmp_path, options={"model": "gpt-4o"}) as stage:
        stage.model.speak = speak
        sam = stage.world.user("Sam")
        chat = stage.world.private(sam)
        for file in sam.sends_album(chat, 6, "all of these"):
            for size in file["photo"]:
                stage.world.files[size["file_id"]]["content"] = JPEG
        await stage.answered(chat)
        looked = [request for request in stage.model.requests if pictures(request)]

    assert len(looked) == 4


async def test_a_killed_mind_does_not_look_twice(tmp_path: Path) -> None:
    script: list[Script] = [SEEN, block("first"), block("Lovely."), block("Lovely.")]
    options = {"model": "gpt-4o"}
    async with on_stage(tmp_path, script=script, options=options, failpoint="mind.model.before-call") as stage:
        await shown(stage)
        looked = [request for request in stage.model.requests if pictures(request)]
        last = asked(stage.model.requests[-1])

    assert len(looked) == 1
    assert "> A red lighthouse." in last


async def test_a_turn_with_a_photo_replays_the_same(tmp_path: Path) -> None:
    async with on_stage(tmp_path, script=[SEEN, block("Lovely.")], options={"model": "gpt-4o"}) as stage:
        await shown(stage)
        why = await stage.up.door.call("why", {})
        told = await stage.up.door.call("replay", {})

    assert [call["why"] for call in why["calls"]] == ["look", "first"]
    assert (told["replayed"], told["same"]) == (True, True)


@pytest.mark.parametrize(
    ("name", "able"),
    [
        ("gpt-4o", True), ("gpt-4o-mini-2024-07-18", True), ("gpt-4o-audio-preview", False), ("gpt-4", False),
        ("gpt-4o-mini-tts", False), ("gpt-4.1-nano", True), ("o3", True), ("o3-mini", False), ("gpt-3.5-turbo", False),
        ("claude-3-5-haiku-latest", True), ("claude-sonnet-4-5", True), ("claude-2.1", False),
        ("gemini-2.5-flash", True), ("google/gemini-2.5-pro", True), ("llama3.2-vision:11b", True),
        ("llama3.2:3b", False), ("qwen2.5vl:7b", True), ("Qwen/Qwen2.5-VL-7B-Instruct", True), ("qwen2.5:7b", False),
        ("llava:13b", True), ("deepseek-chat", False), ("", False), ("revlon", False),
    ],
)  # fmt: skip
def test_models_are_known_to_see_by_their_names(name: str, able: bool) -> None:
    assert sees(name) is able
