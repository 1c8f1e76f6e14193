"""How the agent behaves on Telegram: Eliza's keys of a character and our settings, read once and strictly.

An odd value is told and the quieter choice is taken in its place, so that a slip never makes the agent louder.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

Json = Any
API_ROOT = "https://api.telegram.org"
PREFIX = "TELEGRAM_"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# The vault's, and Eliza's own tests'.
ELSEWHERE = (
    "TELEGRAM_BOT_TOKEN", "TELEGRAM_MANAGER_BOT_TOKEN", "TELEGRAM_REPLACED_BOT_TOKEN", "TELEGRAM_TEST_CHAT_ID",
)  # fmt: skip
MOST_LISTED = 1000
MOST_NUMBER = 10**12
KINDS = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}


@dataclass(frozen=True, slots=True)
class AutoPost:
    """Posts nobody asked for: when a chat has been silent, and on pinned messages. Times are in ms."""

    enabled: bool = False
    monitor_ms: int = 300_000
    inactivity_ms: int = 3_600_000
    main_channel: str = ""
    pinned_groups: frozenset[str] = frozenset()
    min_between_ms: int = 7_200_000


@dataclass(frozen=True, slots=True)
class TelegramSettings:
    """Everything that manners and connector go by. Chat and user ids are texts; of a bound, 0 means none."""

    ignore_bots: bool = False
    ignore_private: bool = False
    only_mentions: bool | None = None  # an explicit false opens follow-ups, an explicit true shuts the team's rules
    only_allowed_groups: bool = False
    allowed_groups: frozenset[str] = frozenset()
    allowed_chats: frozenset[str] | None = None  # None: all of them
    similarity: float = 0.0  # how alike a follow-up must be to what was said last, 0 to 1
    is_in_team: bool = False
    team_ids: frozenset[str] = frozenset()
    team_leader: str = ""
    team_keywords: tuple[str, ...] = ()
    auto_post: AutoPost = AutoPost()
    api_root: str = API_ROOT
    names: tuple[str, ...] = ()  # in lower case, beside the username
    user_per_minute: int = 10
    user_per_hour: int = 100
    chat_per_minute: int = 18  # Telegram takes 20 messages a minute for one group
    chat_per_hour: int = 300
    bot_turns: int = 3  # answers to bots with no person in between; 0: bots get none
    bot_cooldown_seconds: int = 600
    stale_seconds: int = 300
    messages_per_second: int = 25  # Telegram takes about 30
    webhook_url: str = ""  # empty: polling
    managed_bot_id: int = 0  # the bot whose token its manager replaces; 0: the owner's token is used

    def moved(self, old: int, new: int) -> "TelegramSettings":
        """The settings after group `old` became supergroup `new`: what was allowed stays allowed."""

        def with_new(ids: frozenset[str]) -> frozenset[str]:
            return ids | {str(new)} if str(old) in ids else ids

        return replace(
            self,
            allowed_groups=with_new(self.allowed_groups),
            allowed_chats=None if self.allowed_chats is None else with_new(self.allowed_chats),
        )


PLAIN = TelegramSettings()


def read(client_config: Json, settings: Mapping[str, str]) -> tuple[TelegramSettings, list[str]]:
    """The settings that a character's `clientConfig.telegram` and the settings named TELEGRAM_* ask for.

    With them come sentences about what was odd; nothing is raised.
    """
    told: list[str] = []
    eliza = _Keys(client_config, "clientConfig.telegram", told)
    posts = _Keys(eliza.taken("autoPost"), "clientConfig.telegram.autoPost", told)
    ours = _Ours(settings, told)
    found = TelegramSettings(
        ignore_bots=eliza.flag("shouldIgnoreBotMessages", False, quieter=True),
        ignore_private=eliza.flag("shouldIgnoreDirectMessages", False, quieter=True),
        only_mentions=eliza.maybe_flag("shouldRespondOnlyToMentions", quieter=True),
        only_allowed_groups=eliza.flag("shouldOnlyJoinInAllowedGroups", False, quieter=True),
        allowed_groups=frozenset(eliza.texts("allowedGroupIds")),
        allowed_chats=ours.allowed_chats(),
        similarity=eliza.share("messageSimilarityThreshold"),
        is_in_team=eliza.flag("isPartOfTeam", False, quieter=False),
        team_ids=frozenset(map(_digits, eliza.texts("teamAgentIds"))),
        team_leader=_digits(eliza.text("teamLeaderId")),
        team_keywords=tuple(word.lower() for word in eliza.texts("teamMemberInterestKeywords")),
        auto_post=AutoPost(
            enabled=posts.flag("enabled", False, quieter=False),
            monitor_ms=posts.ms("monitorTime", PLAIN.auto_post.monitor_ms),
            inactivity_ms=posts.ms("inactivityThreshold", PLAIN.auto_post.inactivity_ms),
            main_channel=posts.text("mainChannelId"),
            pinned_groups=frozenset(posts.texts("pinnedMessagesGroups")),
            min_between_ms=posts.ms("minTimeBetweenPosts", PLAIN.auto_post.min_between_ms),
        ),
        api_root=ours.api_root(),
        names=ours.names(),
        user_per_minute=ours.number("USER_PER_MINUTE", PLAIN.user_per_minute),
        user_per_hour=ours.number("USER_PER_HOUR", PLAIN.user_per_hour),
        chat_per_minute=ours.number("CHAT_PER_MINUTE", PLAIN.chat_per_minute),
        chat_per_hour=ours.number("CHAT_PER_HOUR", PLAIN.chat_per_hour),
        bot_turns=ours.number("BOT_TURNS", PLAIN.bot_turns),
        bot_cooldown_seconds=ours.number("BOT_COOLDOWN_SECONDS", PLAIN.bot_cooldown_seconds),
        stale_seconds=ours.number("STALE_SECONDS", PLAIN.stale_seconds),
        messages_per_second=ours.number("MESSAGES_PER_SECOND", PLAIN.messages_per_second, least=1),
        webhook_url=ours.url("WEBHOOK_URL", "", is_local_plain=True),
        managed_bot_id=ours.number("MANAGED_BOT_ID", 0),
    )
    eliza.finish()
    posts.finish()
    ours.finish()
    return found, told


class _Keys:
    """The keys of one object of a character, taken one by one."""

    def __init__(self, value: Json, where: str, told: list[str]) -> None:
        self.where, self.told = where, told
        if value is not None and not isinstance(value, Mapping):
            told.append(f"{where}: expected an object, got {_kind(value)}; it is not used")
        self.left = dict(value) if isinstance(value, Mapping) else {}

    def taken(self, key: str) -> Json:
        return self.left.pop(key, None)

    def flag(self, key: str, default: bool, *, quieter: bool) -> bool:
        found = self.maybe_flag(key, quieter=quieter)
        return default if found is None else found

    def maybe_flag(self, key: str, *, quieter: bool) -> bool | None:
        value = self.taken(key)
        if value is None or isinstance(value, bool):
            return value
        written = {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None
        chosen = quieter if written is None else written
        self._odd(key, "true or false", value, f"{str(chosen).lower()} is taken")
        return chosen

    def text(self, key: str) -> str:
        value = self.taken(key)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < MOST_NUMBER**2:
            return str(value)
        if value is None or isinstance(value, str):
            return (value or "").strip()
        self._odd(key, "a string", value)
        return ""

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.taken(key)
        if value is None:
            return ()
        if not isinstance(value, list):
            self._odd(key, "a list of strings", value)
            return ()
        items = [_Keys({key: item}, self.where, []).text(key) for item in value[:MOST_LISTED]]
        if not all(items):
            self._odd(f"{key}[{items.index('')}]", "a string", value[items.index("")], "this one is left out")
        if len(value) > MOST_LISTED:
            self.told.append(f"{self.where}.{key}: {len(value):,} items; the first {MOST_LISTED:,} are used")
        return tuple(filter(None, items))

    def share(self, key: str) -> float:
        value = self.taken(key)
        if value is None:
            return 0.0
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            self._odd(key, "a number from 0 to 1", value, "1 is taken")
            return 1.0
        return float(value)

    def ms(self, key: str, default: int) -> int:
        value = self.taken(key)
        if value is None:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= MOST_NUMBER:
            self._odd(key, "a time in ms", value, f"{default:,} is taken")
            return default
        return max(1, int(value))

    def finish(self) -> None:
        self.told += [f"{self.where}.{key}: nothing on Telegram goes by this key" for key in _shown(self.left)]

    def _odd(self, key: str, expected: str, value: Json, then: str = "it is not used") -> None:
        self.told.append(f"{self.where}.{key}: expected {expected}, got {_kind(value)}; {then}")


class _Ours:
    """The settings named TELEGRAM_*, taken one by one; their values are texts."""

    def __init__(self, settings: Mapping[str, str], told: list[str]) -> None:
        self.told = told
        self.left = {key: value for key, value in settings.items() if key.startswith(PREFIX) and key not in ELSEWHERE}

    def taken(self, name: str) -> str:
        return str(self.left.pop(PREFIX + name, "") or "").strip()

    def number(self, name: str, default: int, least: int = 0) -> int:
        value = self.taken(name)
        if not value:
            return default
        if value.isascii() and value.isdecimal() and len(value) <= 15 and int(value) >= least:
            return int(value)
        self.told.append(
            f"{PREFIX}{name}: expected a whole number from {least}, got {value[:40]!r}; {default} is taken"
        )
        return default

    def api_root(self) -> str:
        """Telegram's own, or a Bot API server on this machine: the token is part of every URL, and a character's file
        may be a stranger's.
        """
        root = self.url("API_ROOT", API_ROOT, is_local_plain=True)
        if root == API_ROOT or urlsplit(root).hostname in LOOPBACK:
            return root
        self.told.append(f"{PREFIX}API_ROOT: a bot's token goes to {API_ROOT} or to this machine; {API_ROOT} is taken")
        return API_ROOT

    def url(self, name: str, default: str, *, is_local_plain: bool = False) -> str:
        """An https URL; plain http only to this machine."""
        value = self.taken(name).rstrip("/")
        if not value:
            return default
        try:
            parts = urlsplit(value)
            host, is_clean = parts.hostname or "", not (parts.query or parts.fragment or parts.username)
        except ValueError:
            host, is_clean, parts = "", False, urlsplit("")
        is_plain = is_local_plain and parts.scheme == "http" and host in LOOPBACK
        if host and is_clean and (parts.scheme == "https" or is_plain):
            return value
        self.told.append(f"{PREFIX}{name}: expected an https URL; {default or 'polling'} is taken")
        return default

    def names(self) -> tuple[str, ...]:
        return tuple(filter(None, (name.strip().lower() for name in self.taken("NAMES").split(",")[:20])))

    def allowed_chats(self) -> frozenset[str] | None:
        value = self.taken("ALLOWED_CHATS")
        if not value:
            return None
        try:
            listed = json.loads(value)
        except (ValueError, RecursionError):
            listed = None
        if isinstance(listed, list) and all(isinstance(item, str) for item in listed):
            return frozenset(item.strip() for item in listed)
        self.told.append(
            f'{PREFIX}ALLOWED_CHATS: expected a JSON list of strings like ["-100123"], got {value[:40]!r}; '
            "no chat is answered until it is mended"
        )
        return frozenset()

    def finish(self) -> None:
        self.told += [f"{key}: there is no such setting" for key in _shown(self.left)]


def _kind(value: Json) -> str:
    shown = KINDS.get(type(value), "a number")
    return f"{value!r}" if isinstance(value, str) and len(value) <= 40 else shown


def _digits(written: str) -> str:
    """An id of the team, of which Eliza compares the digits."""
    return re.sub("[^0-9]", "", written)


def _shown(left: Mapping[str, Json]) -> list[str]:
    return [str(key)[:80] for key in sorted(left, key=str)[:10]]
