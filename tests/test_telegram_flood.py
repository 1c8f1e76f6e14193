"""Flood control: whatever is asked for, Telegram sees its limits kept, and everybody's turn comes."""

import heapq
import random
from collections import defaultdict, deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import share
from teehee_telegram.flood import FEW, LONGEST, TICK, Flood, Limits

START = 1_000_000.0  # a machine that has been up for days


@dataclass
class World:
    """Chats that each send as soon as they may, and a Telegram that counts what arrives a little later."""

    limits: Limits = field(default_factory=Limits)
    seed: int = 0
    sent: list[tuple[float, str]] = field(default_factory=list)
    arrived: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    asked: int = 0
    waited: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def run(
        self,
        demand: list[tuple[float, str]],
        flood: Flood | None = None,
        lateness: float = 0.0,
        journey: float = 0.0,
    ) -> "World":
        """Serves messages (time, chat), each chat's in order; a waiting chat comes back late by up to `lateness`.

        A message and its answer travel for up to `journey`, and Telegram counts it some time in between.
        """
        flood, chance = flood or Flood(self.limits), random.Random(self.seed)
        queues: dict[str, deque[float]] = defaultdict(deque)
        events = [(when, number, chat, "new") for number, (when, chat) in enumerate(sorted(demand))]
        while events:
            now, number, chat, step = heapq.heappop(events)
            if step == "answered":
                flood.done(chat, chat.startswith("-"), now)
                continue
            if step == "new":
                queues[chat].append(now)
                if len(queues[chat]) > 1:
                    continue  # its earlier messages are waiting already
            self.asked += 1
            if wait := flood.take(chat, chat.startswith("-"), now):
                assert wait > 0
                heapq.heappush(events, (now + wait + chance.random() * lateness, number, chat, "waits"))
                continue
            self.waited[chat] = max(self.waited[chat], now - queues[chat].popleft())
            self.sent.append((now, chat))
            travels = chance.random() * journey
            self.arrived[chat].append(now + chance.random() * travels)
            if travels:
                heapq.heappush(events, (now + travels, number, chat, "answered"))
            else:
                flood.done(chat, chat.startswith("-"), now)
            if queues[chat]:
                heapq.heappush(events, (now, number, chat, "waits"))
        return self

    def check(self) -> None:
        everything = sorted(when for whens in self.arrived.values() for when in whens)
        assert most_within(everything, 1.0) <= self.limits.per_second
        for chat, whens in self.arrived.items():
            whens.sort()
            assert not chat.startswith("-") or most_within(whens, 60.0) <= self.limits.group_per_minute
            for first, start in enumerate(whens):
                for count, end in enumerate(whens[first:], 1):
                    assert count <= self.limits.burst + (end - start)


def most_within(whens: list[float], seconds: float) -> int:
    """The most that lie in any window of so many seconds, both its ends included."""
    most, first = 0, 0
    for last, when in enumerate(whens):
        while when - whens[first] > seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_a_quiet_bot_sends_at_once() -> None:
    flood = Flood()

    assert [flood.take(chat, False, START) for chat in "abc"] == [0.0, 0.0, 0.0]


def test_a_chat_gets_a_burst_and_then_a_message_a_second() -> None:
    flood = Flood()

    for _ in range(3):
        assert flood.take("7", False, START) == 0.0
        flood.done("7", False, START)
    assert 1.0 < flood.take("7", False, START) < 1.1
    assert flood.take("7", False, START + 1.06) == 0.0
    assert flood.take("7", False, START + 1.06) > 0.9


def test_a_group_gets_twenty_messages_a_minute() -> None:
    world = World().run([(START, "-1")] * 45)
    world.check()

    times = [when - START for when, _ in world.sent]
    assert times[19] < 20
    assert 63.0 <= times[20] < 63.1


def test_all_chats_together_get_thirty_messages_a_second() -> None:
    world = World().run([(START, str(chat)) for chat in range(100)])
    world.check()

    assert [when for when, _ in world.sent[:30]] == [START] * 30
    assert 3.1 < world.sent[-1][0] - START < 3.2


def test_paid_broadcasts_raise_the_limit_of_all_chats_alone() -> None:
    world = World(Limits(per_second=1000)).run([(START, str(chat)) for chat in range(3000)])
    world.check()

    assert 2.0 < world.sent[-1][0] - START < 2.2


def test_one_busy_chat_does_not_keep_others_waiting() -> None:
    busy = [(START, "1")] * 200 + [(START, "-1")] * 200
    others = [(START + 0.1 * number, str(2 + number)) for number in range(200)]

    world = World().run(busy + others)

    world.check()
    assert all(world.waited[chat] == 0.0 for _, chat in others)


def test_answers_that_take_long_slow_the_line_by_no_more_than_they_take() -> None:
    world = World(seed=3).run([(START, str(chat)) for chat in range(600)], journey=0.4)
    world.check()

    rounds = 600 / 30 - 1
    assert world.sent[-1][0] - START < rounds * (1.05 + 0.4) + 1


def test_what_is_on_its_way_for_long_takes_up_room_until_it_is_done() -> None:
    flood = Flood()
    for chat in range(30):
        assert flood.take(str(chat), False, START) == 0.0

    assert flood.take("late", False, START + 60) > 0
    flood.done("0", False, START + 60)
    assert 1.0 < flood.take("late", False, START + 60) < 1.1
    assert flood.take("late", False, START + 61.1) == 0.0


def test_chats_are_served_in_the_order_they_came_when_there_are_too_many() -> None:
    demand = [(START + number * 1e-4, str(number)) for number in range(300)]

    world = World().run(demand)

    assert [chat for _, chat in world.sent] == [chat for _, chat in demand]
    assert world.asked <= 2 * len(demand)  # each is told at once when its turn comes


def test_a_chat_that_never_comes_back_does_not_hold_up_the_line() -> None:
    flood = Flood()
    for chat in range(500):
        if flood.take(f"gone {chat}", False, START) == 0.0:
            flood.done(f"gone {chat}", False, START)

    world = World().run([(START + 30, str(chat)) for chat in range(30)], flood)

    assert all(waited < 1.1 for waited in world.waited.values())


def test_a_chat_told_to_wait_waits_alone_and_as_long_as_it_was_told() -> None:
    flood = Flood()
    flood.hold("1", 30, START)
    flood.hold("1", 5, START + 1)  # a shorter one does not end a longer one

    assert flood.take("2", False, START) == 0.0
    assert 30 < flood.take("1", False, START) < 32
    assert flood.take("1", False, START + 30) > 0
    assert flood.take("1", False, START + 31.6) == 0.0


def test_a_bot_told_to_wait_waits_in_every_chat() -> None:
    flood = Flood()
    flood.take("1", False, START)
    flood.hold_all(10, START)

    assert flood.take("1", False, START + 9.9) > 0
    assert flood.take("2", True, START + 9.9) > 0
    assert flood.take("2", True, START + 10.6) == 0.0


def test_idle_chats_are_forgotten_and_busy_ones_are_not() -> None:
    flood, now = Flood(Limits(per_second=1000)), START
    flood.hold("held", 1e9, START)

    for chat in range(20_000):
        now += 0.1
        assert flood.take(str(chat), chat % 2 == 0, now) == 0.0
        flood.done(str(chat), chat % 2 == 0, now)

    assert len(flood) <= FEW + 700
    assert flood.take("held", False, now) > 0


@pytest.mark.parametrize("wrong", [{"per_second": 0}, {"per_second": 1001}, {"burst": 0}, {"group_per_minute": 0}])
def test_limits_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected 1 to 1000 messages a second"):
        Limits(**wrong)


DEMAND = st.lists(
    st.tuples(st.floats(0, 100), st.sampled_from(["1", "2", "3", "-1", "-2"]), st.integers(1, 40)), max_size=12
)
CROWD = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 90), st.integers(1, 3)), max_size=4)


@share(0.05)
@given(DEMAND, CROWD, st.integers(1, 30), st.floats(0, 0.9), st.sampled_from([0.0, 0.1, 5.0]), st.integers(0, 99))
def test_whatever_is_asked_for_the_limits_are_kept_and_all_is_sent(
    demand: list[tuple[float, str, int]],
    crowd: list[tuple[float, int, int]],
    per_second: int,
    late: float,
    journey: float,
    seed: int,
) -> None:
    wanted = [(START + at, chat) for at, chat, count in demand for _ in range(count)]
    wanted += [(START + at, f"9{n}") for at, chats, count in crowd for n in range(chats) for _ in range(count)]

    world = World(Limits(per_second=per_second), seed).run(wanted, lateness=late, journey=journey)

    world.check()
    assert len(world.sent) == len(wanted)
    groups = max(len(world.arrived[chat]) for chat in ("-1", "-2"))
    longest = (groups // 20 + 1) * 64 + len(wanted) * (2 / per_second + 2.1 + 2 * journey)
    assert all(waited <= longest for waited in world.waited.values())


@share(0.05)
@given(st.lists(st.tuples(st.sampled_from("12"), st.floats(0, 9), st.floats(0, 20), st.booleans()), max_size=20))
def test_no_message_goes_while_telegram_asked_to_wait(steps: list[tuple[str, float, float, bool]]) -> None:
    flood, now = Flood(), START
    until = dict.fromkeys("12", 0.0)
    for chat, later, seconds, is_all in steps:
        now += later
        if flood.take(chat, False, now) == 0.0:
            assert now >= until[chat] - TICK
        for held in "12" if is_all else chat:
            until[held] = max(until[held], now + seconds)
        flood.hold_all(seconds, now) if is_all else flood.hold(chat, seconds, now)


@share(0.05)
@given(st.randoms(use_true_random=False), st.floats(0.0, 90.0))
def test_limits_are_kept_over_a_restart_when_what_was_sent_is_recalled(chance: random.Random, dies: float) -> None:
    chats = ["1", "2", "-1", "-2"]
    demand = [(START + chance.random() * 90, chance.choice(chats)) for _ in range(150)]
    world = World(Limits(per_second=5))
    world.run([one for one in demand if one[0] < START + dies])
    now = max([START + dies, *(when for when, _ in world.sent)])

    flood = Flood(world.limits)
    for when, chat in sorted(world.sent):
        if when > now - LONGEST:
            flood.recall(chat, chat.startswith("-"), when)
    world.run([(max(when, now), chat) for when, chat in demand if when >= START + dies], flood)

    assert len(world.sent) == len(demand)
    world.check()


def test_a_restart_without_recalling_would_break_them() -> None:
    world = World().run([(START, "-1")] * 20)
    world.run([(world.sent[-1][0], "-1")] * 5)

    with pytest.raises(AssertionError):
        world.check()
