"""Manners: each rule is asserted under its name, by updates as the Bot API sends them."""

import random
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import telegram as tg

from teehee_telegram import manners as module
from teehee_telegram.manners import COMMANDS, Manners, Verdict
from teehee_telegram.settings import TelegramSettings
from telegram_updates import ANN, BEN, CHANNEL, GROUP, ME, NOON_MS, PRIVATE, RIVAL, SNIB, VALID, entity, inbound, said

Json = Any
PLAIN = TelegramSettings()
TALKATIVE = TelegramSettings(only_mentions=False)
MINUTE = 60_000
LEADER = tg.User(99, "Lead", True, username="leadbot")
TEAM = TelegramSettings(is_in_team=True, team_ids=frozenset({"42", "44"}), team_leader="99", team_keywords=("roses",))
LEADING = replace(TEAM, team_leader="42")


def judged(
    given: Json, settings: TelegramSettings = PLAIN, manners: Manners | None = None, now: int = NOON_MS
) -> Verdict:
    return (manners or Manners()).judge(inbound(given), settings, ME, now)


def to_me(text: str = "", **fields: Json) -> Json:
    return said(f"@SnibBot {text}", entities=[entity("mention", 0, 8)], **fields)


def order(name: str, bot: str = "", **fields: Json) -> Json:
    text = f"/{name}@{bot}" if bot else f"/{name}"
    return said(text, entities=[entity("bot_command", 0, len(text))], **fields)


def answering(whom: tg.User, text: str = "yes", **fields: Json) -> Json:
    return said(text, reply_to_message=said("before", sender=whom, message_id=4)["message"], **fields)


# -- the ordinary


def test_a_private_message_is_always_answered() -> None:
    assert judged(said(chat=PRIVATE)) == Verdict("message", "private")


def test_a_mention_is_answered() -> None:
    assert judged(to_me("hi")) == Verdict("message", "mention")


def test_a_reply_to_the_bot_is_answered() -> None:
    assert judged(answering(SNIB)) == Verdict("message", "reply")


def test_a_reply_to_the_bot_may_be_about_somebody() -> None:
    assert judged(answering(SNIB, "tell @ben", entities=[entity("mention", 5, 4)])) == Verdict("message", "reply")


@pytest.mark.parametrize("bot", ["", "SnibBot", "snibbot"])
@pytest.mark.parametrize("chat", [GROUP, PRIVATE])
def test_a_command_of_ours_is_one(bot: str, chat: tg.Chat) -> None:
    assert judged(order("verify", bot, chat=chat)) == Verdict("command", "command")


def test_a_command_we_do_not_have_is_words() -> None:
    assert judged(order("dance", "SnibBot")) == Verdict("message", "mention")
    assert judged(order("dance")) == Verdict("heard", "not_addressed")


def test_talk_that_addresses_nobody_is_only_heard() -> None:
    assert judged(said("nice weather, Snib")) == Verdict("heard", "not_addressed")


def test_a_name_counts_when_a_setting_says_so() -> None:
    settings = TelegramSettings(names=("snib", "old snib"))

    assert judged(said("is that so, SNIB?"), settings) == Verdict("message", "name")
    assert judged(said("snibbing is fun"), settings) == Verdict("heard", "not_addressed")


# -- not for us


def test_the_bots_own_messages_are_dropped() -> None:
    assert judged(said(sender=SNIB)) == Verdict("drop", "own")
    assert judged(said(sender=SNIB, chat=PRIVATE)) == Verdict("drop", "own")


def test_between_two_humans_the_bot_is_silent_even_when_it_is_named() -> None:
    settings = TelegramSettings(names=("snib",), only_mentions=False)

    assert judged(answering(BEN, "snib says otherwise"), settings) == Verdict("heard", "between_humans")
    mention = said("@ben, ask Snib", entities=[entity("mention", 0, 4)])
    assert judged(mention, settings) == Verdict("heard", "between_humans")
    by_id = said("Ben, ask Snib", entities=[entity("text_mention", 0, 3, user=BEN.to_dict())])
    assert judged(by_id, settings) == Verdict("heard", "between_humans")


def test_a_mention_makes_a_third_of_the_bot() -> None:
    both = said("@SnibBot and @ben", entities=[entity("mention", 0, 8), entity("mention", 13, 4)])

    assert judged(both) == Verdict("message", "mention")
    assert judged(answering(BEN, "@SnibBot?", entities=[entity("mention", 0, 8)])) == Verdict("message", "mention")


@pytest.mark.parametrize(
    "given",
    [
        said("@rival_bot hi", entities=[entity("mention", 0, 10)]),
        answering(RIVAL, "snib?"),
        answering(RIVAL, "/help", entities=[entity("bot_command", 0, 5)]),
        answering(SNIB, "@rival_bot?", entities=[entity("mention", 0, 10)]),
        order("help", "rival_bot"),
        said("/help@rival_bot @SnibBot", entities=[entity("bot_command", 0, 15), entity("mention", 16, 8)]),
    ],
)
def test_what_is_for_another_bot_is_only_heard(given: Json) -> None:
    assert judged(given, TelegramSettings(names=("snib",))) == Verdict("heard", "other_bot")


def test_a_person_may_call_two_bots_but_a_bot_may_not() -> None:
    marks = [entity("mention", 0, 8), entity("mention", 9, 10)]

    assert judged(said("@SnibBot @rival_bot", entities=marks)) == Verdict("message", "mention")
    assert judged(said("@SnibBot @rival_bot", entities=marks, sender=LEADER)) == Verdict("heard", "other_bot")


def test_forwarded_words_call_nobody() -> None:
    origin = {"type": "user", "date": 1, "sender_user": BEN.to_dict()}

    settings = TelegramSettings(names=("snib",))

    assert judged(said("snib!", forward_origin=origin), settings) == Verdict("heard", "forwarded")
    assert judged(said("snib!", via_bot=RIVAL.to_dict()), settings) == Verdict("heard", "forwarded")


def test_a_comment_on_a_channels_post_is_not_between_humans() -> None:
    post = said("news", sender=None, sender_chat=CHANNEL.to_dict(), message_id=4)["message"]

    assert judged(said("snib?", reply_to_message=post), TelegramSettings(names=("snib",))) == Verdict("message", "name")


def test_channel_posts_are_only_heard() -> None:
    post = {"update_id": 1, "channel_post": to_me(chat=CHANNEL, sender=None)["message"]}

    assert judged(post) == Verdict("heard", "channel")


def test_anonymous_senders_are_only_heard() -> None:
    assert judged(to_me("/stop", sender_chat=GROUP.to_dict())) == Verdict("heard", "anonymous")
    assert judged(order("stop", sender_chat=CHANNEL.to_dict())) == Verdict("heard", "anonymous")


def test_pins_are_only_heard() -> None:
    assert judged(VALID["pinned"]) == Verdict("heard", "pinned")


def test_what_is_no_message_is_named_by_its_kind() -> None:
    assert judged(VALID["edited"]) == Verdict("edit", "edit")
    assert judged(VALID["reaction"]) == Verdict("reaction", "reaction")
    assert judged(VALID["choice"]) == Verdict("choice", "choice")
    assert judged(VALID["to_supergroup"]) == judged(VALID["from_group"]) == Verdict("moved", "moved")
    assert judged(VALID["member"]) == Verdict("member", "added")
    assert judged(VALID["guest"]) == Verdict("drop", "guest")


def test_an_edit_that_adds_a_mention_starts_no_turn() -> None:
    edited = {"update_id": 1, "edited_message": to_me(edit_date=NOON_MS // 1000)["message"]}

    assert judged(edited) == Verdict("edit", "edit")


# -- allow-lists and switches


def test_private_messages_are_dropped_when_the_character_says_so() -> None:
    settings = TelegramSettings(ignore_private=True)

    assert judged(said(chat=PRIVATE), settings) == Verdict("drop", "private_ignored")
    assert judged(to_me(), settings) == Verdict("message", "mention")


def test_bots_are_dropped_when_the_character_says_so() -> None:
    assert judged(to_me(sender=RIVAL), TelegramSettings(ignore_bots=True)) == Verdict("drop", "bot_ignored")


def test_a_group_not_allowed_is_left() -> None:
    settings = TelegramSettings(only_allowed_groups=True, allowed_groups=frozenset({"-1"}))

    assert judged(to_me(), settings) == Verdict("drop", "leave")
    assert judged(VALID["member"], settings) == Verdict("member", "leave")
    assert judged(said(chat=PRIVATE), settings) == Verdict("message", "private")
    allowed = replace(settings, allowed_groups=frozenset({str(GROUP.id)}))
    assert judged(to_me(), allowed) == Verdict("message", "mention")
    assert judged(VALID["member"], allowed) == Verdict("member", "added")


def test_a_group_that_threw_the_bot_out_is_not_left_again() -> None:
    joined = VALID["member"]["my_chat_member"]
    left = {**joined, "old_chat_member": joined["new_chat_member"], "new_chat_member": joined["old_chat_member"]}

    assert judged({"update_id": 1, "my_chat_member": left}, TelegramSettings(only_allowed_groups=True)) == Verdict(
        "member", "kicked"
    )


@pytest.mark.parametrize("name", ["plain", "edited", "reaction", "choice", "post"])
def test_chats_not_on_the_list_are_dropped(name: str) -> None:
    assert judged(VALID[name], TelegramSettings(allowed_chats=frozenset())) == Verdict("drop", "chat_not_allowed")
    listed = TelegramSettings(allowed_chats=frozenset({str(inbound(VALID[name]).chat.id)}))
    assert judged(VALID[name], listed).kind != "drop"


# -- bots


def test_a_bot_is_answered_only_when_it_addresses_the_bot() -> None:
    named = TelegramSettings(names=("snib",), only_mentions=False)

    assert judged(to_me(sender=RIVAL)) == Verdict("message", "mention")
    assert judged(answering(SNIB, sender=RIVAL)) == Verdict("message", "reply")
    assert judged(said("snib", sender=RIVAL), named) == Verdict("heard", "not_addressed")


def test_a_bot_gives_no_orders() -> None:
    assert judged(order("forget", "SnibBot", sender=RIVAL)) == Verdict("message", "mention")
    assert judged(order("forget", sender=RIVAL)) == Verdict("heard", "not_addressed")


def test_bots_get_so_many_answers_and_then_a_cool_down() -> None:
    settings = TelegramSettings(bot_turns=2, bot_cooldown_seconds=60)
    manners = Manners()

    def asks(at: int, bot: tg.User = RIVAL) -> str:
        return judged(to_me(sender=bot, date=(NOON_MS + at) // 1000), settings, manners, NOON_MS + at).reason

    assert [asks(0), asks(1000, LEADER), asks(2000), asks(61_000, LEADER)] == [
        "mention", "mention", "bot_budget", "bot_budget",
    ]  # fmt: skip
    assert [asks(62_000), asks(63_000), asks(64_000)] == ["mention", "mention", "bot_budget"]


def test_a_person_in_between_lets_bots_be_answered_again() -> None:
    settings, manners = TelegramSettings(bot_turns=1), Manners()
    assert judged(to_me(sender=RIVAL), settings, manners).reason == "mention"
    assert judged(to_me(sender=RIVAL), settings, manners).reason == "bot_budget"

    judged(said("you two are funny"), settings, manners)

    assert judged(to_me(sender=RIVAL), settings, manners).reason == "mention"


def test_a_budget_of_none_answers_no_bot() -> None:
    assert judged(to_me(sender=RIVAL), TelegramSettings(bot_turns=0)) == Verdict("heard", "bot_budget")


def test_two_of_these_bots_in_one_group_fall_silent() -> None:
    settings, one, other = TelegramSettings(bot_turns=3), Manners(), Manners()
    turns, speaker = 0, one
    while judged(to_me(sender=RIVAL), settings, speaker).kind == "message" and turns < 100:
        turns, speaker = turns + 1, other if speaker is one else one

    assert turns == 6


# -- quotas


def test_a_person_over_the_quota_is_heard_and_told_once_in_a_window() -> None:
    settings, manners = TelegramSettings(user_per_minute=2), Manners()

    reasons = [judged(said(chat=PRIVATE), settings, manners, NOON_MS + at).reason for at in range(5)]
    later = judged(said(chat=PRIVATE), settings, manners, NOON_MS + MINUTE).reason

    assert reasons == ["private", "private", "user_quota_hint", "user_quota", "user_quota"]
    assert later == "private"


def test_the_hour_has_a_quota_of_its_own() -> None:
    settings, manners = TelegramSettings(user_per_minute=0, user_per_hour=3), Manners()

    reasons = [judged(said(chat=PRIVATE), settings, manners, NOON_MS + at * MINUTE).reason for at in range(5)]

    assert reasons == ["private", "private", "private", "user_quota_hint", "user_quota"]
    assert judged(order("help", chat=PRIVATE), settings, manners, NOON_MS + 60 * MINUTE).reason == "command"


def test_a_chat_over_its_quota_is_told_once_whoever_asks() -> None:
    settings, manners = TelegramSettings(chat_per_minute=2), Manners()
    people = [tg.User(100 + number, "P", False) for number in range(5)]

    reasons = [judged(to_me(sender=person), settings, manners).reason for person in people]

    assert reasons == ["mention", "mention", "chat_quota_hint", "chat_quota", "chat_quota"]


def test_what_gets_no_answer_uses_up_no_quota() -> None:
    settings, manners = TelegramSettings(user_per_minute=1, chat_per_minute=1), Manners()
    for _ in range(10):
        judged(said("just talking"), settings, manners)
        judged(answering(BEN), settings, manners)

    assert judged(to_me(), settings, manners).kind == "message"


def test_a_bot_over_the_quota_gets_no_hint() -> None:
    manners, settings = Manners(), TelegramSettings(user_per_minute=1, bot_turns=9)

    assert [judged(to_me(sender=RIVAL), settings, manners).reason for _ in range(2)] == ["mention", "user_quota"]
    crowd, settings = Manners(), TelegramSettings(chat_per_minute=1, bot_turns=9)
    assert [judged(to_me(sender=bot), settings, crowd).reason for bot in (RIVAL, LEADER)] == ["mention", "chat_quota"]


def test_stop_comes_through_over_every_quota_and_switch() -> None:
    settings, manners = TelegramSettings(user_per_minute=1, chat_per_minute=1, ignore_private=True), Manners()
    judged(to_me(), settings, manners)

    assert judged(to_me(), settings, manners).reason == "user_quota_hint"
    assert judged(order("verify"), settings, manners).reason == "user_quota"
    assert judged(order("stop"), settings, manners) == Verdict("command", "command")
    assert judged(order("stop", chat=PRIVATE), settings, manners) == Verdict("command", "command")


# -- after downtime


def test_what_waited_too_long_is_stale_but_a_command_is_carried_out() -> None:
    late = NOON_MS + 301_000

    assert judged(to_me(), now=late) == Verdict("heard", "stale")
    assert judged(said(chat=PRIVATE), now=late) == Verdict("heard", "stale")
    assert judged(order("forget"), now=late) == Verdict("command", "command")
    assert judged(said(), now=late) == Verdict("heard", "not_addressed")
    assert judged(to_me(), TelegramSettings(stale_seconds=0), now=late) == Verdict("message", "mention")


# -- talks that go on


def follow_up(manners: Manners, text: str = "and why?", settings: TelegramSettings = TALKATIVE, at: int = 1000) -> str:
    given = said(text, date=(NOON_MS + at) // 1000)
    return judged(given, settings, manners, NOON_MS + at).reason


def talk() -> Manners:
    """Ann asked about roses in the group and was answered at noon."""
    manners = Manners()
    assert judged(to_me("which soil do roses like?"), TALKATIVE, manners).kind == "message"
    manners.told(f"telegram:{GROUP.id}", ANN.id, NOON_MS, "Roses like loam")
    return manners


def test_a_talk_goes_on_for_five_minutes_where_the_character_allows_it() -> None:
    assert follow_up(talk()) == "follow_up"
    assert follow_up(talk(), at=5 * MINUTE) == "follow_up"
    assert follow_up(talk(), at=5 * MINUTE + 1) == "not_addressed"
    assert follow_up(talk(), settings=PLAIN) == "not_addressed"
    assert follow_up(talk(), settings=TelegramSettings(only_mentions=True)) == "not_addressed"
    assert follow_up(Manners()) == "not_addressed"


def test_a_talk_ends_when_anybody_else_speaks() -> None:
    for speaker in (BEN, RIVAL):
        manners = talk()
        judged(said("hm", sender=speaker), TALKATIVE, manners)
        assert follow_up(manners) == "not_addressed"


def test_a_talk_is_with_one_person_in_one_topic() -> None:
    assert judged(said(sender=BEN), TALKATIVE, talk()).reason == "not_addressed"
    assert judged(said(message_thread_id=9, is_topic_message=True), TALKATIVE, talk()).reason == "not_addressed"


def test_a_follow_up_has_to_be_as_alike_as_the_character_says() -> None:
    settings = replace(TALKATIVE, similarity=0.4)

    assert follow_up(talk(), "do roses like loam", settings) == "follow_up"
    assert follow_up(talk(), "which soil do tulips like?", settings) == "follow_up"
    assert follow_up(talk(), "football tonight?", settings) == "not_addressed"


def test_a_follow_up_is_compared_with_the_persons_own_words() -> None:
    manners, room = talk(), f"telegram:{GROUP.id}"
    judged(to_me("who plays football tonight?", sender=BEN), TALKATIVE, manners)
    manners.told(room, ANN.id, NOON_MS, "Roses like loam")  # the answer to Ann took longer

    assert follow_up(manners, "football tonight?", replace(TALKATIVE, similarity=0.4)) == "not_addressed"


def test_a_picture_without_words_is_no_follow_up() -> None:
    photo = {"file_id": "F", "file_unique_id": "U", "width": 1, "height": 1}

    assert judged(said(None, photo=[photo]), TALKATIVE, talk()).reason == "not_addressed"


def test_a_follow_up_between_humans_is_none() -> None:
    assert judged(answering(BEN), TALKATIVE, talk()).reason == "between_humans"


def test_the_bare_username_is_a_name_where_the_character_allows_follow_ups() -> None:
    assert judged(said("ask snibbot"), TALKATIVE).reason == "name"
    assert judged(said("ask snibbot")).reason == "not_addressed"


# -- a team of agents


def test_the_leader_answers_what_is_for_the_team() -> None:
    assert judged(said("good morning team"), LEADING) == Verdict("message", "team_leader")
    assert judged(said("about roses"), LEADING) == Verdict("heard", "not_addressed")
    assert judged(said("good morning team"), TEAM) == Verdict("heard", "not_addressed")


def test_a_member_answers_its_keywords() -> None:
    assert judged(said("Roses?"), TEAM) == Verdict("message", "team_keyword")
    assert judged(said("neuroses?"), TEAM) == Verdict("heard", "not_addressed")
    assert judged(said("Roses?"), replace(TEAM, is_in_team=False)) == Verdict("heard", "not_addressed")
    assert judged(said("Roses?"), replace(TEAM, only_mentions=True)) == Verdict("heard", "not_addressed")


def test_nobody_answers_in_the_place_of_another_member() -> None:
    mate = tg.User(44, "Mate", False)  # its account has no mark of a bot
    named = said("Mate, roses for the team?", entities=[entity("text_mention", 0, 4, user=mate.to_dict())])

    assert judged(named, TEAM) == judged(named, LEADING) == Verdict("heard", "team_member")
    assert judged(answering(mate, "roses"), TEAM) == Verdict("heard", "team_member")
    assert judged(answering(mate, "@SnibBot?", entities=[entity("mention", 0, 8)]), TEAM).reason == "mention"
    assert judged(answering(mate, "roses"), replace(TEAM, is_in_team=False)).reason == "between_humans"


def test_every_rule_is_asserted_here() -> None:
    """No reason written in the module is missing from this file."""
    source, tests = Path(module.__file__).read_text(), Path(__file__).read_text()
    reasons = set(re.findall(r'Verdict\(\s*"\w+", "(\w+)"', source))

    assert len(reasons) > 25
    assert [name for name in sorted(reasons) if f'"{name}"' not in tests] == []


# -- bounded and cheap


def test_what_is_remembered_is_bounded() -> None:
    manners = Manners(most=100)
    for number in range(1, 2_000):
        chat, person = tg.Chat(-number, "supergroup"), tg.User(10_000 + number, "P", False)
        judged(to_me(chat=chat, sender=person), TALKATIVE, manners)
        judged(to_me(chat=chat, sender=RIVAL), TALKATIVE, manners)
        manners.told(f"telegram:-{number}", person.id, NOON_MS, "x " * 5000)

    held = (manners._rooms, manners._bots, manners._users, manners._chats)
    assert [len(memory) for memory in held] == [20, 100, 100, 100]


def test_who_was_seen_last_is_remembered_longest() -> None:
    settings, manners = TelegramSettings(user_per_minute=2), Manners(most=2)
    people = [tg.User(number, "P", False) for number in (101, 102, 103)]

    for person in (people[0], people[1], people[0], people[2]):  # the second goes
        judged(to_me(sender=person), settings, manners)

    assert judged(to_me(sender=people[0]), settings, manners).reason == "user_quota_hint"


def test_a_thousand_updates_are_judged_in_a_fraction_of_a_second() -> None:
    chance = random.Random(6)
    settings = TelegramSettings(only_mentions=False, names=("snib",), similarity=0.3)
    makers = [
        lambda **f: to_me("x" * 4000, **f),
        lambda **f: said("a b " * 1000, **f),
        lambda **f: answering(SNIB, **f),
    ]
    given = [
        inbound(chance.choice(makers)(sender=tg.User(chance.randint(50, 900), "P", False), chat=tg.Chat(-n, "group")))
        for n in range(1, 1001)
    ]
    manners = Manners()

    before = time.process_time()
    for item in given:
        manners.judge(item, settings, ME, NOON_MS)
        manners.told(item.room, item.sender.id, NOON_MS, item.text)

    assert time.process_time() - before < 1.0  # 200 a second leave five


def test_every_command_has_a_name_telegram_takes() -> None:
    assert all(re.fullmatch(r"[a-z0-9_]{1,32}", name) for name in COMMANDS)
