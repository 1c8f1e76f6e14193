"""Settings of the character and ours are read strictly: what is odd is told, and never makes the agent louder."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzzed
from teehee_telegram.settings import AutoPost, TelegramSettings, read

Json = Any
EVERY_KEY = {
    "shouldIgnoreBotMessages": True,
    "shouldIgnoreDirectMessages": True,
    "shouldRespondOnlyToMentions": False,
    "shouldOnlyJoinInAllowedGroups": True,
    "allowedGroupIds": ["-1001", "-1002"],
    "messageSimilarityThreshold": 0.4,
    "isPartOfTeam": True,
    "teamAgentIds": ["42", "id-43"],
    "teamLeaderId": "42",
    "teamMemberInterestKeywords": ["Roses", "soil"],
    "autoPost": {
        "enabled": True,
        "monitorTime": 1000,
        "inactivityThreshold": 2000,
        "mainChannelId": "-1009",
        "pinnedMessagesGroups": ["-1001"],
        "minTimeBetweenPosts": 3000,
    },
}


def test_nothing_asked_for_is_the_default_and_nothing_is_told() -> None:
    assert read(None, {}) == read({}, {}) == (TelegramSettings(), [])


def test_every_key_of_eliza_is_honoured() -> None:
    found, told = read(EVERY_KEY, {})

    assert told == []
    assert found == TelegramSettings(
        ignore_bots=True,
        ignore_private=True,
        only_mentions=False,
        only_allowed_groups=True,
        allowed_groups=frozenset({"-1001", "-1002"}),
        similarity=0.4,
        is_in_team=True,
        team_ids=frozenset({"42", "43"}),
        team_leader="42",
        team_keywords=("roses", "soil"),
        auto_post=AutoPost(True, 1000, 2000, "-1009", frozenset({"-1001"}), 3000),
    )


def test_every_setting_of_ours_is_honoured() -> None:
    found, told = read(
        {},
        {
            "TELEGRAM_BOT_TOKEN": "not looked at",
            "TELEGRAM_ALLOWED_CHATS": '["-1001", "7"]',
            "TELEGRAM_API_ROOT": "http://127.0.0.1:8081/",
            "TELEGRAM_NAMES": "Snib, old Snib",
            "TELEGRAM_USER_PER_MINUTE": "1",
            "TELEGRAM_USER_PER_HOUR": "2",
            "TELEGRAM_CHAT_PER_MINUTE": "3",
            "TELEGRAM_CHAT_PER_HOUR": "4",
            "TELEGRAM_BOT_TURNS": "0",
            "TELEGRAM_BOT_COOLDOWN_SECONDS": "6",
            "TELEGRAM_STALE_SECONDS": "7",
            "TELEGRAM_MESSAGES_PER_SECOND": "8",
            "TELEGRAM_WEBHOOK_URL": "https://agent.example/hook",
            "OPENAI_API_KEY": "not ours",
        },
    )

    assert told == []
    assert found == TelegramSettings(
        allowed_chats=frozenset({"-1001", "7"}),
        api_root="http://127.0.0.1:8081",
        names=("snib", "old snib"),
        user_per_minute=1,
        user_per_hour=2,
        chat_per_minute=3,
        chat_per_hour=4,
        bot_turns=0,
        bot_cooldown_seconds=6,
        stale_seconds=7,
        messages_per_second=8,
        webhook_url="https://agent.example/hook",
    )


def test_what_eliza_leaves_to_the_author_has_elizas_defaults() -> None:
    assert read({"autoPost": {"enabled": True}}, {})[0].auto_post == AutoPost(
        True, 300_000, 3_600_000, "", frozenset(), 7_200_000
    )


@pytest.mark.parametrize("written", ["not json", "{}", "[1, 2]", '"-1001"', "[" * 100_000, "[null]"])
def test_allowed_chats_that_cannot_be_parsed_deny_every_chat(written: str) -> None:
    found, told = read({}, {"TELEGRAM_ALLOWED_CHATS": written})

    assert found.allowed_chats == frozenset()
    assert told[0].startswith("TELEGRAM_ALLOWED_CHATS: expected a JSON list of strings")


@pytest.mark.parametrize(
    ("config", "asked", "sentence"),
    [
        (
            {"shouldIgnoreBotMessages": "true"},
            TelegramSettings(ignore_bots=True),
            "clientConfig.telegram.shouldIgnoreBotMessages: expected true or false, got 'true'; true is taken",
        ),
        (
            {"shouldIgnoreDirectMessages": 1},
            TelegramSettings(ignore_private=True),
            "clientConfig.telegram.shouldIgnoreDirectMessages: expected true or false, got a number; true is taken",
        ),
        (
            {"isPartOfTeam": "perhaps"},
            TelegramSettings(),
            "clientConfig.telegram.isPartOfTeam: expected true or false, got 'perhaps'; false is taken",
        ),
        (
            {"shouldRespondOnlyToMentions": []},
            TelegramSettings(only_mentions=True),
            "clientConfig.telegram.shouldRespondOnlyToMentions: expected true or false, got a list; true is taken",
        ),
        (
            {"allowedGroupIds": [-1001, True]},
            TelegramSettings(allowed_groups=frozenset({"-1001"})),
            "clientConfig.telegram.allowedGroupIds[1]: expected a string, got a boolean; this one is left out",
        ),
        (
            {"allowedGroupIds": "-1001"},
            TelegramSettings(),
            "clientConfig.telegram.allowedGroupIds: expected a list of strings, got '-1001'; it is not used",
        ),
        (
            {"messageSimilarityThreshold": 60},
            TelegramSettings(similarity=1.0),
            "clientConfig.telegram.messageSimilarityThreshold: expected a number from 0 to 1, got a number; 1 is taken",
        ),
        (
            {"autoPost": {"monitorTime": "often"}},
            TelegramSettings(),
            "clientConfig.telegram.autoPost.monitorTime: expected a time in ms, got 'often'; 300,000 is taken",
        ),
        (
            {"autoPost": True},
            TelegramSettings(),
            "clientConfig.telegram.autoPost: expected an object, got a boolean; it is not used",
        ),
        (
            {"shouldBeLoud": True},
            TelegramSettings(),
            "clientConfig.telegram.shouldBeLoud: nothing on Telegram goes by this key",
        ),
    ],
)
def test_an_odd_key_of_the_character_is_told_and_the_quieter_way_taken(
    config: Json, asked: TelegramSettings, sentence: str
) -> None:
    assert read(config, {}) == (asked, [sentence])


@pytest.mark.parametrize(
    ("name", "written", "sentence"),
    [
        ("USER_PER_MINUTE", "ten", "expected a whole number from 0, got 'ten'; 10 is taken"),
        ("USER_PER_HOUR", "-1", "expected a whole number from 0, got '-1'; 100 is taken"),
        ("STALE_SECONDS", "²", "expected a whole number from 0, got '²'; 300 is taken"),
        ("MESSAGES_PER_SECOND", "0", "expected a whole number from 1, got '0'; 25 is taken"),
        ("API_ROOT", "http://proxy.example", "expected an https URL; https://api.telegram.org is taken"),
        ("API_ROOT", "https://me:pw@proxy.example", "expected an https URL; https://api.telegram.org is taken"),
        ("API_ROOT", "https://[broken", "expected an https URL; https://api.telegram.org is taken"),
        ("WEBHOOK_URL", "http://10.0.0.7/hook", "expected an https URL; polling is taken"),
        ("LOUDNESS", "11", "there is no such setting"),
    ],
)
def test_an_odd_setting_of_ours_is_told_and_the_default_taken(name: str, written: str, sentence: str) -> None:
    assert read({}, {f"TELEGRAM_{name}": written}) == (TelegramSettings(), [f"TELEGRAM_{name}: {sentence}"])


def test_a_group_that_moved_stays_allowed_under_its_new_id() -> None:
    before = TelegramSettings(allowed_groups=frozenset({"-5"}), allowed_chats=frozenset({"-5", "7"}))

    after = before.moved(-5, -1005)

    assert after == replace(
        before, allowed_groups=frozenset({"-5", "-1005"}), allowed_chats=frozenset({"-5", "-1005", "7"})
    )
    assert before.moved(-6, -1006) == before
    assert TelegramSettings().moved(-5, -1005) == TelegramSettings()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**4000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(EVERY_KEY)), inner, max_size=4),
    max_leaves=12,
)
NAMES = ["ALLOWED_CHATS", "API_ROOT", "NAMES", "USER_PER_MINUTE", "BOT_TURNS", "WEBHOOK_URL", "X"]


@fuzzed(300)
@given(
    st.dictionaries(st.sampled_from(sorted(EVERY_KEY)), anything) | anything,
    st.dictionaries(st.sampled_from(NAMES).map("TELEGRAM_{}".format), st.text()),
)
def test_any_character_and_any_settings_raise_nothing(config: Json, settings: dict[str, str]) -> None:
    found, told = read(config, settings)

    assert hash(found) is not None
    assert all(len(sentence) < 400 for sentence in told)


def test_the_page_on_telegram_names_every_setting_and_key() -> None:
    root = Path(__file__).parents[1]
    source = (root / "plugins/teehee_telegram/settings.py").read_text()
    page = (root / "docs/telegram.md").read_text()
    ours = {f"TELEGRAM_{name}" for name in re.findall(r'(?:ours\.\w+|self\.taken)\("([A-Z_]+)"', source)}
    eliza = set(re.findall(r'(?:eliza|posts)\.\w+\("(\w+)"', source))

    assert len(ours) > 10
    assert len(eliza) > 10
    assert {name for name in ours | eliza if f"`{name}`" not in page} == set()
