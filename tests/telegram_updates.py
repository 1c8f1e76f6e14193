"""Updates as the Bot API sends them: written by python-telegram-bot's own types, and by hand in short."""

import datetime as dtm
import json
from typing import Any

import telegram as tg

from teehee_telegram.updates import Inbound, Me, read

Json = Any
ME = Me(42, "SnibBot", "Snib")
NOON = dtm.datetime(2026, 11, 1, 12, tzinfo=dtm.timezone.utc)  # noqa: UP017 - PTB compares with this very object
NOON_MS = int(NOON.timestamp()) * 1000
ANN = tg.User(7, "Ann", False, last_name="Ash", username="ann_ash")
BEN = tg.User(8, "Ben", False, username="ben")
SNIB = tg.User(42, "Snib", True, username="SnibBot")
RIVAL = tg.User(43, "Rival", True, username="rival_bot")
PRIVATE = tg.Chat(7, "private", first_name="Ann", last_name="Ash")
GROUP = tg.Chat(-100500, "supergroup", title="Gardeners", is_forum=True)
CHANNEL = tg.Chat(-100900, "channel", title="News", username="news")


def update(kind: str = "message", **fields: Json) -> Json:
    """An update of one kind, as JSON."""
    return {"update_id": 1001, kind: fields}


def user(someone: tg.User) -> Json:
    return someone.to_dict()


def said(text: Json = "hello", *, sender: Json = ANN, chat: tg.Chat = GROUP, **fields: Json) -> Json:
    """An update with a message, as JSON; `fields` are the message's own."""
    by = sender.to_dict() if isinstance(sender, tg.User) else sender
    base = {"message_id": 5, "date": NOON_MS // 1000, "chat": chat.to_dict(), "from": by, "text": text}
    return update("message", **{**base, **fields})


def entity(kind: str, offset: int, length: int, **fields: Json) -> Json:
    return {"type": kind, "offset": offset, "length": length, **fields}


def inbound(given: Json, me: Me = ME) -> Inbound:
    """What was read, which has to be something."""
    found = read(given, me)
    assert isinstance(found, Inbound), found
    return found


def message(**fields: Json) -> tg.Message:
    """A message as PTB makes it."""
    return tg.Message(**{"message_id": 5, "date": NOON, "chat": GROUP, "from_user": ANN, **fields})


def _file(kind: type, **fields: Json) -> Json:
    return kind(file_id="F1", file_unique_id="U1", **fields)


MEDIA: dict[str, dict[str, Json]] = {
    "photo": {
        "photo": [_file(tg.PhotoSize, width=90, height=60), _file(tg.PhotoSize, width=900, height=600)],
        "caption": "look, @SnibBot",
        "caption_entities": [tg.MessageEntity("mention", 6, 8)],
        "media_group_id": "13579",
    },
    "voice": {"voice": _file(tg.Voice, duration=12, mime_type="audio/ogg", file_size=20_000)},
    "audio": {"audio": _file(tg.Audio, duration=215, performer="Bach", title="Air", file_name="air.mp3")},
    "video": {"video": _file(tg.Video, width=640, height=360, duration=7)},
    "video_note": {"video_note": _file(tg.VideoNote, length=240, duration=8)},
    "animation": {
        "animation": _file(tg.Animation, width=1, height=1, duration=2),
        "document": _file(tg.Document, file_name="cat.mp4"),
    },
    "document": {
        "document": _file(tg.Document, file_name="report.pdf", mime_type="application/pdf", file_size=2345678)
    },
    "sticker": {
        "sticker": _file(tg.Sticker, width=1, height=1, is_animated=False, is_video=False, type="regular", emoji="😀")
    },
    "contact": {"contact": tg.Contact("+491234567", "Ben", "Birch")},
    "location": {"location": tg.Location(13.405, 52.52)},
    "venue": {
        "venue": tg.Venue(tg.Location(13.405, 52.52), "Cafe", "Main St 1"),
        "location": tg.Location(13.405, 52.52),
    },
    "poll": {
        "poll": tg.Poll(
            "1", "Tea or coffee?", [], 0, False, True, "regular", False, allows_revoting=False, members_only=False
        )
    },
    "dice": {"dice": tg.Dice(5, "🎲")},
    "game": {"game": tg.Game("Chess", "a game", [])},
    "story": {"story": tg.Story(CHANNEL, 3)},
}


def _updates() -> dict[str, tg.Update]:
    reply = message(message_id=4, from_user=SNIB, text="what I said")
    texts = {
        "plain": message(text="hello", chat=PRIVATE),
        "reply": message(text="why?", reply_to_message=reply, quote=tg.TextQuote("said", 7)),
        "topic": message(text="hi", message_thread_id=9, is_topic_message=True),
        "command": message(text="/verify@SnibBot now", entities=[tg.MessageEntity("bot_command", 0, 15)]),
        "named": message(text="Ben!", entities=[tg.MessageEntity("text_mention", 0, 3, user=BEN)]),
        "anonymous": message(text="rules", sender_chat=GROUP, from_user=tg.User(1087968824, "Group", True)),
        "forwarded": message(text="news", forward_origin=tg.MessageOriginChannel(NOON, CHANNEL, 3)),
        "via": message(text="gif", via_bot=RIVAL),
        "external": message(
            text="see", external_reply=tg.ExternalReplyInfo(tg.MessageOriginUser(NOON, BEN), CHANNEL, 77)
        ),
        "to_supergroup": message(chat=tg.Chat(-55, "group", title="G"), migrate_to_chat_id=-100500),
        "from_group": message(migrate_from_chat_id=-55),
        "pinned": message(pinned_message=reply),
    }
    made = {name: tg.Update(1001, message=item) for name, item in texts.items()}
    made |= {name: tg.Update(1001, message=message(**fields)) for name, fields in MEDIA.items()}
    joined = (tg.ChatMemberLeft(SNIB), tg.ChatMemberMember(SNIB))
    return made | {
        "edited": tg.Update(1001, edited_message=message(text="hello!", edit_date=NOON + dtm.timedelta(seconds=3))),
        "post": tg.Update(1001, channel_post=message(chat=CHANNEL, sender_chat=CHANNEL, from_user=None, text="news")),
        "guest": tg.Update(1001, guest_message=message(text="@SnibBot hi", guest_query_id="q1")),
        "choice": tg.Update(1001, callback_query=tg.CallbackQuery("c1", ANN, "i1", message=reply, data="yes:1")),
        "reaction": tg.Update(
            1001,
            message_reaction=tg.MessageReactionUpdated(
                GROUP, 4, NOON, [], [tg.ReactionTypeEmoji("👍"), tg.ReactionTypeCustomEmoji("99")], user=ANN
            ),
        ),
        "member": tg.Update(1001, my_chat_member=tg.ChatMemberUpdated(GROUP, ANN, NOON, *joined)),
    }


VALID: dict[str, Json] = {name: json.loads(made.to_json()) for name, made in _updates().items()}
