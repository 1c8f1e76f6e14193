"""Who gets an answer, decided before any model is asked: every rule has a name, and the first that fits decides."""

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from math import sqrt
from typing import Literal

from teehee_telegram.inbound import Command, Inbound, Me
from teehee_telegram.quota import Quota, Recent
from teehee_telegram.settings import TelegramSettings

Kind = Literal["message", "command", "heard", "edit", "reaction", "choice", "moved", "member", "drop"]
COMMANDS = frozenset(
    {"start", "help", "verify", "receipt", "prove", "forget", "status", "stop", "resume", "quiet", "speak"}
)
INTEREST_MS = 5 * 60_000  # Eliza's: how long a talk goes on without a name being called
TO_THE_TEAM = re.compile(r"\b(?:team|everyone|all agents)\b", re.IGNORECASE)
WORD = re.compile(r"\w{1,32}")
MOST_WORDS = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an update is to the agent, and the name of the rule that says so."""

    kind: Kind
    reason: str


@dataclass(slots=True)
class _Room:
    """A talk that goes on: with whom, since when, and the words that were said last."""

    user: int = 0
    at: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    asked_by: int = 0
    asked: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Bots:
    """Answers to bots in a chat since a person last spoke there."""

    turns: int = 0
    quiet_until: int = 0


class Manners:
    """Judges updates. What it remembers of chats and people is bounded: those seen longest ago go first."""

    def __init__(self, most: int = 10_000) -> None:
        self._rooms = Recent(max(1, most // 5), _Room)  # these hold words
        self._bots = Recent(most, _Bots)
        self._users = Recent(most, Quota)
        self._chats = Recent(most, Quota)

    def judge(self, inbound: Inbound, settings: TelegramSettings, me: Me, now: int) -> Verdict:
        """What `inbound` is to the agent at `now`, in ms. A turn it grants is counted against the quotas."""
        verdict = _platform(inbound, settings, me)
        if verdict is not None:
            return verdict
        self._note_speaker(inbound)
        if inbound.pinned:
            return Verdict("heard", "pinned")
        if inbound.sender.is_chat:
            return Verdict("heard", "channel" if inbound.kind == "channel_post" else "anonymous")
        verdict = _private(inbound) if inbound.chat.type == "private" else self._group(inbound, settings, me, now)
        if verdict.kind == "heard":
            return verdict
        return self._bounded(verdict, inbound, settings, now)

    def admits(self, inbound: Inbound, settings: TelegramSettings, me: Me) -> bool:
        """Is what is said there and by them for the agent's ears at all?"""
        verdict = _platform(inbound, settings, me)
        return verdict is None or verdict.kind != "drop"

    def told(self, room: str, user: int, now: int, text: str = "") -> None:
        """Notes that `user` was answered in `room`, so that what they say next may belong to the same talk."""
        held = self._rooms.get(room)
        held.user, held.at, held.answered = user, now, _words(text)

    def forget(self, user: int) -> None:
        """Drops what is remembered of a person's words and times."""
        self._users.drop(user)
        for room in self._rooms.values():
            if user in (room.user, room.asked_by):
                room.user = room.asked_by = 0
                room.asked, room.answered = Counter(), Counter()

    def _note_speaker(self, inbound: Inbound) -> None:
        """A person speaking lets bots be answered again; anybody else speaking ends a talk."""
        sender = inbound.sender
        if not (sender.is_bot or sender.is_chat) and (bots := self._bots.peek(inbound.chat.id)):
            bots.turns = bots.quiet_until = 0
        if (room := self._rooms.peek(inbound.room)) and room.user != sender.id:
            room.user = 0

    def _group(self, inbound: Inbound, settings: TelegramSettings, me: Me, now: int) -> Verdict:
        """A group: an answer for who addresses the bot, and nothing between others."""
        verdict = _addressed(inbound, settings, me) or _between_others(inbound)
        if verdict is None and not inbound.sender.is_bot:
            verdict = _named(inbound, settings, me) or _for_team(inbound, settings, me)
            if verdict is None and settings.only_mentions is False and self._follows_up(inbound, settings, now):
                verdict = Verdict("message", "follow_up")
        return verdict or Verdict("heard", "not_addressed")

    def _follows_up(self, inbound: Inbound, settings: TelegramSettings, now: int) -> bool:
        room = self._rooms.peek(inbound.room)
        if room is None or room.user != inbound.sender.id or not 0 <= now - room.at <= INTEREST_MS:
            return False
        if not (words := _words(inbound.text)):
            return False
        asked = _likeness(words, room.asked) if room.asked_by == room.user else 0.0
        return max(asked, _likeness(words, room.answered)) >= settings.similarity

    def _bounded(self, verdict: Verdict, inbound: Inbound, settings: TelegramSettings, now: int) -> Verdict:
        """The verdict for who asks for an answer, if it is not too late, nor too often, nor one bot too many."""
        is_late = settings.stale_seconds and now - inbound.at > 1000 * settings.stale_seconds
        if is_late and verdict.kind == "message":  # a command is carried out however late: /stop and /forget are meant
            return Verdict("heard", "stale")
        if inbound.sender.is_bot and not self._bot_may_speak(inbound.chat.id, settings, now):
            return Verdict("heard", "bot_budget")
        if _is_stop(inbound):
            return verdict
        user, chat = self._users.get(inbound.sender.id), self._chats.get(inbound.chat.id)
        if over := user.over(settings.user_per_minute, settings.user_per_hour, now):
            # A hint to a bot would be one more turn for it to answer.
            return Verdict("heard", "user_quota" if inbound.sender.is_bot else f"user_{over}")
        if over := chat.over(settings.chat_per_minute, settings.chat_per_hour, now):
            return Verdict("heard", "chat_quota" if inbound.sender.is_bot else f"chat_{over}")
        user.count()
        chat.count()
        if inbound.sender.is_bot:
            self._bots.get(inbound.chat.id).turns += 1
        elif inbound.chat.type != "private":
            room = self._rooms.get(inbound.room)
            room.asked_by, room.asked = inbound.sender.id, _words(inbound.text)
        return verdict

    def _bot_may_speak(self, chat: int, settings: TelegramSettings, now: int) -> bool:
        """Is there a turn left for bots in this chat? When the last one is used, all wait for the cool-down."""
        bots = self._bots.get(chat)
        if bots.quiet_until:
            if now < bots.quiet_until:
                return False
            bots.turns = bots.quiet_until = 0
        if bots.turns < settings.bot_turns:
            return True
        bots.quiet_until = now + 1000 * settings.bot_cooldown_seconds
        return False


def _platform(inbound: Inbound, settings: TelegramSettings, me: Me) -> Verdict | None:
    """What the update's own kind decides, and where and to whom the agent does not speak at all."""
    kind, chat = inbound.kind, inbound.chat
    is_private = chat.type == "private"
    is_barred = settings.only_allowed_groups and not is_private and str(chat.id) not in settings.allowed_groups
    if inbound.member:
        outside = inbound.member.change in ("kicked", "blocked")
        return Verdict("member", "leave" if is_barred and not outside else inbound.member.change)
    if inbound.moved:
        return Verdict("moved", "moved")
    if inbound.sender.id == me.id:
        return Verdict("drop", "own")
    if kind == "guest_message":
        return Verdict("drop", "guest")
    if settings.allowed_chats is not None and str(chat.id) not in settings.allowed_chats:
        return Verdict("drop", "chat_not_allowed")
    if is_barred:
        return Verdict("drop", "leave")
    if is_private and settings.ignore_private and not _is_stop(inbound):
        return Verdict("drop", "private_ignored")
    if inbound.sender.is_bot and settings.ignore_bots:
        return Verdict("drop", "bot_ignored")
    if inbound.reactions:
        return Verdict("reaction", "reaction")
    if inbound.callback:
        return Verdict("choice", "choice")
    return Verdict("edit", "edit") if kind.startswith("edited_") else None


def _private(inbound: Inbound) -> Verdict:
    return Verdict("command", "command") if _order(inbound) else Verdict("message", "private")


def _order(inbound: Inbound) -> Command | None:
    """The command of ours that this is, from a person: bots talk, they do not order."""
    command = inbound.command
    return command if command and command.name in COMMANDS and not inbound.sender.is_bot else None


def _addressed(inbound: Inbound, settings: TelegramSettings, me: Me) -> Verdict | None:
    """The rule by which the bot, or another bot, is called; None when none is."""
    if settings.is_in_team and not inbound.mentions_me and _calls_teammate(inbound, settings):
        return Verdict("heard", "team_member")
    order, command = _order(inbound), inbound.command
    is_for_another = command is not None and command.bot not in ("", me.username.lower())
    calls_another = any(item.is_bot for item in inbound.mentions)
    # A person may call two bots at once; a bot that does is the beginning of a loop.
    if is_for_another or (calls_another and (inbound.sender.is_bot or not inbound.mentions_me)):
        return Verdict("heard", "other_bot")
    if order and (order.bot or not _answers_other_bot(inbound)):
        return Verdict("command", "command")
    if inbound.mentions_me:
        return Verdict("message", "mention")
    return Verdict("message", "reply") if inbound.reply_to and inbound.reply_to.is_me else None


def _is_stop(inbound: Inbound) -> bool:
    """`/stop`, which has to come through; whether its sender may stop the agent is for others to decide."""
    order = _order(inbound)
    return order is not None and order.name == "stop"


def _calls_teammate(inbound: Inbound, settings: TelegramSettings) -> bool:
    reply = inbound.reply_to
    called = [item.id for item in inbound.mentions]
    if reply and reply.sender and not reply.is_me:
        called.append(reply.sender.id)
    return any(str(number) in settings.team_ids for number in called)


def _answers_other_bot(inbound: Inbound) -> bool:
    reply = inbound.reply_to
    return reply is not None and not reply.is_me and reply.sender is not None and reply.sender.is_bot


def _between_others(inbound: Inbound) -> Verdict | None:
    """The rule by which somebody else is meant, if one does."""
    reply = inbound.reply_to
    if _answers_other_bot(inbound):
        return Verdict("heard", "other_bot")
    if inbound.mentions or (reply and reply.sender and not reply.sender.is_chat):
        return Verdict("heard", "between_humans")
    if inbound.forward or inbound.via_bot:
        return Verdict("heard", "forwarded")  # a name in it was called by somebody else
    return None


def _named(inbound: Inbound, settings: TelegramSettings, me: Me) -> Verdict | None:
    # As in Eliza, an explicit false lets the bare username count as well.
    own = (me.username.lower(),) if settings.only_mentions is False and me.username else ()
    names = _pattern(settings.names + own)
    return Verdict("message", "name") if names and names.search(inbound.text) else None


def _for_team(inbound: Inbound, settings: TelegramSettings, me: Me) -> Verdict | None:
    """The leader answers what is for the team, a member what holds one of its words."""
    if not settings.is_in_team or settings.only_mentions:
        return None
    if settings.team_leader == str(me.id):
        return Verdict("message", "team_leader") if TO_THE_TEAM.search(inbound.text) else None
    words = _pattern(settings.team_keywords)
    return Verdict("message", "team_keyword") if words and words.search(inbound.text) else None


@lru_cache(maxsize=64)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str] | None:
    """Finds any of these as whole words."""
    if not names:
        return None
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)", re.IGNORECASE)


def _words(text: str) -> Counter[str]:
    return Counter(found[0] for found in islice(WORD.finditer(text.lower()), MOST_WORDS))


def _likeness(one: Counter[str], other: Counter[str]) -> float:
    """The cosine between two texts' counts of words, 0 to 1."""
    shared = sum(count * other[word] for word, count in one.items())
    sizes = sum(n * n for n in one.values()) * sum(n * n for n in other.values())
    return shared / sqrt(sizes) if shared else 0.0
